"""Exports models to the file formats of other engines, for `earbit bench`.

`python -m earbit.bench.peers.onnx_model KIND SOURCE OUT SECONDS` makes one file in a separate
process, so that its memory is not counted for an engine.  The length of the audio is fixed in the
graph, so shapes are constants that engines fold before timing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.engine import speech_like
from earbit.export.lower import lower_model
from earbit.hub.onnx.file import save
from earbit.hub.onnx.translate import onnx_model
from earbit.load import load_model

N_CALIBRATION_CLIPS = 2


def to_onnx(model_file: Path, out: Path, n_samples: int) -> None:
    """Writes a model file as ONNX in float32 for one clip of n_samples."""
    save(onnx_model(lower_model(load_model(model_file)), {}, n_samples), out)


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
