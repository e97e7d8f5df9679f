"""Models in PyTorch on the CPU: float32, bfloat16, and int8 linear layers.

int8 is PyTorch's own dynamic quantization: weights of linear layers are int8, their inputs become
8-bit integers with a scale per call, and everything else stays in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import default_dynamic_qconfig

from earbit.bench.peers.catalogue import PEERS
from earbit.load import load_model
from earbit.nn.leaves import Linear, activate


def loaded(engine: str, file: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    """Loads a model; a call of the result returns the last hidden state, (frames, width)."""
    torch.set_num_threads(n_threads)
    model = load_model(file).requires_grad_(False)
    wave_BN = torch.from_numpy(audio)[None]
    match PEERS[engine].precision:
        case "fp32":
            pass
        case "bf16":
            model, wave_BN = model.bfloat16(), wave_BN.bfloat16()
        case "int8":
            _choose_integer_kernels()
            _quantize_linear_layers(model)

    def run() -> np.ndarray:
        with torch.inference_mode():
            state: np.ndarray = model(wave_BN).states[-1][0].float().numpy()
        return state

    return run


class _Int8Linear(nn.Module):
    """A linear leaf with PyTorch's int8 product: (..., d_in) -> (..., d_out)."""

    def __init__(self, leaf: Linear) -> None:
        super().__init__()
        self.input_activation = leaf.input_activation
        plain = nn.Linear(leaf.in_features, leaf.out_features, leaf.bias is not None, device="meta")
        plain.weight, plain.bias = leaf.weight, leaf.bias
        # PyTorch asks for this attribute, which its own type does not have.
        setattr(plain, "qconfig", default_dynamic_qconfig)  # noqa: B010
        self.product: nn.Module = dynamic.Linear.from_float(plain)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """The product of the activated input."""
        product: Tensor = self.product(activate(x, self.input_activation))
        return product


def _quantize_linear_layers(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Linear):
            setattr(module, name, _Int8Linear(child))
        else:
            _quantize_linear_layers(child)


def _choose_integer_kernels() -> None:
    # The default of x86 runs most shapes in FBGEMM, which takes at least twice as long here.
    if "onednn" in torch.backends.quantized.supported_engines:
        torch.backends.quantized.engine = "onednn"
