"""Compares a packed program with its PyTorch model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from earbit.errors import DataError
from earbit.export.operands import comparing, operands_of
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of program and model on the same audio."""

    bit_agreement: float
    """Fraction of equal bits and codes over the inputs of all quantized leaves; 1 without any.

    For attention products these are q, k and v, because codes of probabilities never leave the
    kernel.  Every encoder layer of the model gets the hidden state of the program, and every leaf
    its bits or codes, so a flipped bit is counted once and not again in later leaves.
    """
    worst_leaf: str
    worst_bit_agreement: float
    frame_error: float
    """Relative error of a frame: median over frames, maximum over hidden states.

    PyTorch computes a state from the program's state and codes before it, so this covers all that
    follows the last quantized leaf: norms, biases, scales and residuals.
    """
    state_error: float
    """Relative error of all frames of a state, maximum over states.

    A flipped bit in a float projection changes few frames, hence this and not `frame_error`.
    """
    output_cosine: float
    """Cosine of the last hidden states of both complete models, all frames as one vector."""
    max_abs_error: float
    """Largest difference of the last hidden states."""
    n_frames: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def states_alone(
    model: AudioModel, waveform: np.ndarray, states_LTD: np.ndarray
) -> list[np.ndarray]:
    """Hidden states of the model, each (T, D), with every layer on the given state before it.

    states_LTD: the encoder's input and the output of every layer.  A difference in one layer does
    not propagate to later layers.
    """
    encoder = model.encoder
    given = list(torch.from_numpy(states_LTD)[:, None])
    hooks = [
        layer.register_forward_pre_hook(lambda _, args, x_BTD=x_BTD: (x_BTD, *args[1:]))
        for layer, x_BTD in zip(encoder.layers, encoder.layer_inputs(given), strict=True)
    ]
    try:
        return [state[0].numpy() for state in model(torch.from_numpy(waveform)[None]).states]
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def verify(model: AudioModel, session: Session, waveform: np.ndarray) -> Agreement:
    """Runs both on `waveform` (samples,) and compares the codes of leaves and the hidden states.

    Raises DataError for a model whose output is not finite, and RuntimeError, naming it, for a
    quantized leaf whose input the program does not list, which is a bug in earbit.
    """
    states = session.run(waveform, layers="all")
    with evaluating(model):
        expected = model(torch.from_numpy(waveform)[None]).states[-1][0].numpy()
    if not (np.isfinite(expected).all() and np.isfinite(states).all()):
        raise DataError("the model's output is not finite; look at its weights")
    operands = operands_of(model)
    unknown = [name for name in operands if name not in session.bits]
    if unknown:
        raise RuntimeError(f"the program does not list the bits of {', '.join(unknown)}")
    values = session.values(waveform, [session.bits[name] for name in operands])
    found = dict(zip(operands, values, strict=True))
    equal: dict[str, np.ndarray] = {}
    with comparing(operands, found, equal), evaluating(model):
        alone = states_alone(model, waveform, states)
    shares = {name: float(np.mean(equal[name])) for name in operands}
    names = list(operands)
    n_bits = {name: equal[name].size for name in names}
    total = sum(n_bits.values())
    worst = min(shares, key=lambda name: shares[name]) if shares else "none"
    output = states[-1]
    norms = float(np.linalg.norm(expected) * np.linalg.norm(output))
    return Agreement(
        bit_agreement=sum(shares[n] * n_bits[n] for n in names) / total if total else 1.0,
        worst_leaf=worst,
        worst_bit_agreement=shares.get(worst, 1.0),
        frame_error=max(
            float(np.median(_error(*pair, axis=-1))) for pair in zip(states, alone, strict=True)
        ),
        state_error=max(float(_error(*pair)) for pair in zip(states, alone, strict=True)),
        output_cosine=float(np.vdot(expected, output)) / norms if norms else 1.0,
        max_abs_error=float(np.abs(expected - output).max()),
        n_frames=len(output),
    )


def _error(ours: np.ndarray, theirs: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Norm of the difference over the norm of `theirs`; over 1 where that is 0."""
    norm = np.linalg.norm(theirs, axis=axis)
    error: np.ndarray = np.linalg.norm(ours - theirs, axis=axis) / np.where(norm > 0, norm, 1)
    return error
