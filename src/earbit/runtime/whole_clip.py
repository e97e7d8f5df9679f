"""Ops that need the whole clip, and what to use instead in a model that streams."""

from __future__ import annotations

from collections.abc import Sequence

from earbit import _core
from earbit.errors import UnsupportedError

STREAMING_PRESETS = ("sparseformer-stream-s", "sparseformer-stream-tiny")
_FORMS = ("b1", "f32", "i8")
_NORM = (
    "a norm over all frames",
    "a front end without one: front_end=filterbank, or front_end.norm=layer, and "
    "normalize_waveform=false",
)
_ATTENTION = ("attention to all frames", "an encoder with a window: sparseformer")
_POOLING = ("a mean over all frames", "the scores of a window: Session.stream().scores()")
_OF_OPS = {
    "group_norm": _NORM,
    "waveform_bits": _NORM,
    "mean_frames": _POOLING,
    "deviation_frames": _POOLING,
    "lstm": ("an LSTM that begins at the end", "a head without one, such as that of task pr"),
    **dict.fromkeys(
        (
            *(f"{kind}attention_{form}" for kind in ("", "relative_") for form in _FORMS),
            *("sinusoids", "distance_table"),
        ),
        _ATTENTION,
    ),
}
"""For each op: why it needs the whole clip, and an alternative that can stream."""


def obstacle(program: _core.Program, outputs: Sequence[int]) -> str | None:
    """The first op that needs the whole clip for these values, and what to use instead."""
    found = _core.whole_clip_op(program, list(outputs))
    if found is None:
        return None
    number, name = found
    what, instead = _OF_OPS.get(name, ("an op over all frames", "a model without it"))
    return f"op {number}, {name} ({what}), needs the whole clip; use {instead}"


def require_streaming(name: str, program: _core.Program, outputs: Sequence[int]) -> None:
    """Raises UnsupportedError, naming the op, if these values cannot be streamed."""
    if reason := obstacle(program, outputs):
        presets = " and ".join(STREAMING_PRESETS)
        raise UnsupportedError(f"{name} cannot stream: {reason}. The presets {presets} stream")
