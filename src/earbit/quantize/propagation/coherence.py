"""How alike the errors of two parts of a model are, on average over pairs of parts.

Of independent noise that is not zero in a model that is not linear, so noise in the place of
quantization is the control, and what quantization has beyond it is what counts.  A part is one kind
in one layer.  docs/errors.md says how to read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earbit.quantize.propagation.parts import LAYERS, PAIR


@dataclass(frozen=True, slots=True)
class Coherence:
    """Coherence at the last state; None where there is no pair of parts, or one of them is lost.

    0 where errors are independent, 1 where their amplitudes add, below 0 where they cancel.
    """

    everything: float | None
    within: float | None
    """Of parts of one kind, in different layers."""
    within_kind: dict[str, float | None]
    between: float | None
    """Of parts of different kinds."""
    pairs: dict[str, float | None]
    """Of parts of two kinds, the others in full precision."""


@dataclass(frozen=True, slots=True)
class ControlledCoherence:
    """Coherence of errors, beside that of noise which is independent."""

    found: Coherence
    """c, of quantization."""
    independent: Coherence
    """c0, of white noise of the same power in the place of quantization."""
    controlled: Coherence
    """c - c0."""


def controlled(found: Coherence, independent: Coherence) -> ControlledCoherence:
    """Coherence with its control, and the difference of the two."""
    beyond = Coherence(
        everything=minus(found.everything, independent.everything),
        within=minus(found.within, independent.within),
        within_kind=_minus_each(found.within_kind, independent.within_kind),
        between=minus(found.between, independent.between),
        pairs=_minus_each(found.pairs, independent.pairs),
    )
    return ControlledCoherence(found, independent, beyond)


def coherence_of(last: Mapping[str, float], single: Mapping[str, list[float]]) -> Coherence:
    """From errors of the last state, by what is quantized, and of every part alone, by kind."""
    alone = [error for errors in single.values() for error in errors]
    gain_of = {kind: last[kind] - math.fsum(errors) for kind, errors in single.items()}
    most_of = {kind: _most(errors) for kind, errors in single.items()}
    pairs = {}
    for pair in (part for part in last if PAIR in part):
        one, other = pair.split(PAIR)
        most = _most([*single[one], *single[other]]) - most_of[one] - most_of[other]
        pairs[pair] = _share(last[pair] - last[one] - last[other], most)
    most_within = math.fsum(most_of.values())
    return Coherence(
        everything=_share(last[LAYERS] - math.fsum(alone), _most(alone)),
        within=_share(math.fsum(gain_of.values()), most_within),
        within_kind={kind: _share(gain_of[kind], most_of[kind]) for kind in single},
        between=_share(
            last[LAYERS] - math.fsum(last[kind] for kind in single), _most(alone) - most_within
        ),
        pairs=pairs,
    )


def minus(ours: float | None, theirs: float | None) -> float | None:
    """The difference; None where either is unknown."""
    return None if ours is None or theirs is None else ours - theirs


def _minus_each(
    ours: Mapping[str, float | None], theirs: Mapping[str, float | None]
) -> dict[str, float | None]:
    return {name: minus(value, theirs[name]) for name, value in ours.items()}


def _most(errors: Sequence[float]) -> float:
    """What the errors of pairs come to if amplitudes add: the sum of 2 sqrt(e_i e_j)."""
    return math.fsum(math.sqrt(error) for error in errors) ** 2 - math.fsum(errors)


def _share(gain: float, most: float) -> float | None:
    # A lone part has no pair; its rounding errors are none either.
    is_known = math.isfinite(gain) and most > 1e-9 * abs(gain)
    return gain / most if is_known and math.isfinite(most) else None
