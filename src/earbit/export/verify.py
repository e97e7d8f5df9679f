"""Holds a packed program against the PyTorch model that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from earbit.errors import DataError
from earbit.export.layer_by_layer import layer_by_layer
from earbit.model import AudioModel
from earbit.nn.attention import SelfAttention
from earbit.nn.evaluation import evaluating
from earbit.nn.relative_attention import RelativeAttention
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.leaves import QuantizedConv1d, QuantizedMatMul
from earbit.quantize.quantizers import ActivationQuantizer
from earbit.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far program and model agree on the same audio."""

    bit_agreement: float
    """Share of equal bits over the inputs of all binary leaves; 1 without any.

    Of the attention products that is q, k and v; the bits of probabilities never leave the kernel.
    Every encoder layer of the model is given the hidden state of the program, so a bit that falls
    the other way in one layer is counted there, and not again in all layers after it.
    """
    worst_leaf: str
    worst_bit_agreement: float
    output_cosine: float
    """Cosine of the last hidden states, all frames as one vector, each side on its own results."""
    max_abs_error: float
    """Largest difference of the last hidden states."""
    n_frames: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@torch.no_grad()
def verify(model: AudioModel, session: Session, waveform: np.ndarray) -> Agreement:
    """Runs both on `waveform` (samples,) and compares the bits of every layer and the output.

    Raises DataError for a model whose output is not finite, and RuntimeError, naming it, for a
    binary leaf whose bits the program does not know: a bug of ours.
    """
    states = session.run(waveform, layers="all")
    expected_bits: dict[str, np.ndarray] = {}
    hooks = _read_bits(model, expected_bits)
    try:
        with evaluating(model):
            expected = model(torch.from_numpy(waveform)[None]).states[-1][0].numpy()
            layer_by_layer(model.encoder, torch.from_numpy(states)[:, None])
    finally:
        for hook in hooks:
            hook.remove()
    if not (np.isfinite(expected).all() and np.isfinite(states).all()):
        raise DataError("the model's output is not finite; look at its weights")
    names = list(expected_bits)
    unknown = [name for name in names if name not in session.bits]
    if unknown:
        raise RuntimeError(f"the program does not list the bits of {', '.join(unknown)}")
    packed = session.values(waveform, [session.bits[name] for name in names])
    shares = {
        name: float(np.mean(_unpack(bits, expected_bits[name].shape[1]) == expected_bits[name]))
        for name, bits in zip(names, packed, strict=True)
    }
    n_bits = {name: expected_bits[name].size for name in names}
    total = sum(n_bits.values())
    worst = min(shares, key=lambda name: shares[name]) if shares else "none"
    output = states[-1]
    norms = float(np.linalg.norm(expected) * np.linalg.norm(output))
    return Agreement(
        bit_agreement=sum(shares[n] * n_bits[n] for n in names) / total if total else 1.0,
        worst_leaf=worst,
        worst_bit_agreement=shares.get(worst, 1.0),
        output_cosine=float(np.vdot(expected, output)) / norms if norms else 1.0,
        max_abs_error=float(np.abs(expected - output).max()),
        n_frames=len(output),
    )


def _read_bits(model: AudioModel, into: dict[str, np.ndarray]) -> list[RemovableHandle]:
    """Hooks that write down the bits that every binary leaf reads, as bool (T, channels)."""
    hooks = []
    for name, leaf in quantized_leaves_of(model).items():
        if not isinstance(leaf, QuantizedMatMul) and leaf.input_quantizer is not None:
            is_conv = isinstance(leaf, QuantizedConv1d)
            hooks.append(
                leaf.input_quantizer.register_forward_hook(_code_reader(name, is_conv, into))
            )
    for name, block in model.named_modules():
        if isinstance(block, SelfAttention) and isinstance(block.scores, QuantizedMatMul):
            for role, projection, bias in _operands_of(block):
                hooks.append(
                    projection.register_forward_hook(_sign_reader(f"{name}.{role}", bias, into))
                )
    return hooks


def _operands_of(block: SelfAttention) -> list[tuple[str, torch.nn.Module, Tensor | None]]:
    """Operands of attention products, the leaf that makes each, and what is added to it.

    Read where they are made: before heads and blocks of a window rearrange them.
    """
    content_bias = position_bias = None
    operands: list[tuple[str, torch.nn.Module, Tensor | None]] = []
    if isinstance(block, RelativeAttention):
        content_bias, position_bias = block.content_bias.flatten(), block.position_bias.flatten()
        operands = [
            ("position_scores.left", block.q_proj, position_bias),
            ("position_scores.right", block.position_proj, None),
        ]
    return [
        ("scores.left", block.q_proj, content_bias),
        ("scores.right", block.k_proj, None),
        ("context.right", block.v_proj, None),
        *operands,
    ]


def _sign_reader(
    name: str, bias: Tensor | None, into: dict[str, np.ndarray]
) -> Callable[[torch.nn.Module, tuple[Tensor, ...], Tensor], None]:
    def read(_: torch.nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        into[name] = ((output[0] if bias is None else output[0] + bias) >= 0).numpy()

    return read


def _code_reader(
    name: str, is_conv: bool, into: dict[str, np.ndarray]
) -> Callable[[ActivationQuantizer, tuple[Tensor, ...], Tensor], None]:
    def read(_: ActivationQuantizer, __: tuple[Tensor, ...], codes: Tensor) -> None:
        bits = codes[0] > 0
        # (T, channels) for both kinds of leaf
        into[name] = (bits.T if is_conv else bits).numpy()

    return read


def _unpack(packed: np.ndarray, n_channels: int) -> np.ndarray:
    """Packed (groups, T, words) as bool (T, channels)."""
    n_groups, n_rows, _ = packed.shape
    bits = np.unpackbits(
        packed.view(np.uint8).reshape(n_groups, n_rows, -1), axis=-1, bitorder="little"
    )
    per_group = n_channels // n_groups
    return bits[..., :per_group].transpose(1, 0, 2).reshape(n_rows, n_channels).astype(bool)
