"""Features of one audio file by a packed 1-bit model, without PyTorch.

earbit export hubert-base --plan w1a1 --out hubert.safetensors
python examples/features.py hubert.safetensors speech.wav
"""

import sys

from earbit import EarbitError, read_audio
from earbit.runtime import Session

if len(sys.argv) != 3:
    sys.exit("usage: python examples/features.py PROGRAM.safetensors AUDIO")
try:
    session = Session(sys.argv[1])
    features = session.run(read_audio(sys.argv[2]))
except EarbitError as error:
    sys.exit(f"{error}")  # it names the file, what is wrong with it and what to do
print(f"{features.shape[0]} frames of {features.shape[1]} values, kernels {session.kernels()}")
