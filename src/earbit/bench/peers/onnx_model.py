"""Exports models to the file formats of other engines, for `earbit bench`.

`python -m earbit.bench.peers.onnx_model KIND SOURCE OUT SECONDS` makes one file in a separate
process, so that its memory is not counted for an engine.  The length of the audio is fixed in the
graph: loops over windows are unrolled, and shapes are constants that engines fold before timing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.engine import speech_like
from earbit.load import load_model
from earbit.model import AudioModel

N_CALIBRATION_CLIPS = 2


class _LastState(nn.Module):
    def __init__(self, model: AudioModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, wave_BN: Tensor) -> Tensor:
        """Computes features: (1, samples) -> (1, frames, width)."""
        state: Tensor = self.model(wave_BN).states[-1]
        return state


def to_onnx(model_file: Path, out: Path, n_samples: int) -> None:
    """Exports a model file to ONNX in float32 for n_samples, with weights in a file beside it."""
    model = _LastState(load_model(model_file).requires_grad_(False)).eval()
    program = torch.onnx.export(model, (torch.zeros(1, n_samples),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(out), external_data=True)


def to_onnx_int8(onnx_file: Path, out: Path) -> None:
    """Quantizes ONNX to int8 matrix products with dynamically quantized inputs.

    Convolutions stay in float32: ONNX Runtime's integer convolution takes several times as long.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        onnx_file,
        out,
        op_types_to_quantize=["MatMul", "Gemm"],
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
    )


def to_openvino_int8(onnx_file: Path, out: Path, n_samples: int) -> None:
    """Makes an OpenVINO model with int8 products and convolutions, calibrated on seeded noise."""
    import nncf
    import openvino

    clips: list[np.ndarray] = [
        speech_like(n_samples, seed)[None] for seed in range(1, 1 + N_CALIBRATION_CLIPS)
    ]
    quantized = nncf.quantize(
        openvino.Core().read_model(onnx_file),
        nncf.Dataset(clips),
        subset_size=len(clips),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, out, compress_to_fp16=False)


def main() -> None:
    """Makes one file from command-line arguments."""
    kind, source, out, seconds = sys.argv[1:5]
    n_samples = int(float(seconds) * SAMPLE_RATE_HZ)
    match kind:
        case "onnx":
            to_onnx(Path(source), Path(out), n_samples)
        case "onnx-int8":
            to_onnx_int8(Path(source), Path(out))
        case "openvino-int8":
            to_openvino_int8(Path(source), Path(out), n_samples)


if __name__ == "__main__":
    main()
