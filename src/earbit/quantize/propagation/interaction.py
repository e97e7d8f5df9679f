"""Whether errors of several kinds of module add up, or do more (or less) than that.

The measure of error is `ErrorSums.log_error`, which adds up where errors are independent; what is
found over that sum is the interaction, in decibels.  Since nothing adds up exactly in a model that
is not linear, the same is measured of independent noise; what quantization does beyond it is
propagation.  Decibels grow with the number of parts that interact; coherence is per pair of parts.
docs/errors.md says how to read it.

A part is one kind in one layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.parts import LAYERS, PAIR
from earbit.quantize.propagation.sums import ErrorSums


@dataclass(frozen=True, slots=True)
class Coherence:
    """How alike the errors of two parts are at the last state, on average over pairs of parts.

    0 where they are independent, 1 where their amplitudes add, below 0 where they cancel.
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
class Interaction:
    """Errors of the layers' leaves together, against those of each part alone.

    In decibels; None where there is no error, or so much that nothing is left of the signal.
    """

    log_error: float
    """Of the last state, with all leaves in layers quantized."""
    parts: float
    """The sum of the last state's errors over kinds and layers, each quantized alone."""
    within_db: float | None
    """Between layers of one kind: kinds alone over the sum of their layers alone, all kinds."""
    within_kind_db: dict[str, float | None]
    between_db: list[float | None]
    """Between kinds: all of them over the sum of each alone; after every layer."""
    independent_db: list[float | None]
    """The same of independent noise in the place of quantization."""
    propagation_db: list[float | None]
    """`between_db - independent_db`: what the kinds do to each other, after every layer."""
    pairs_db: dict[str, float | None]
    """Propagation between two kinds, the others in full precision, at the last state."""
    coherence: Coherence


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mixed stack against one of attention alone, of as many layers and as wide, in decibels.

    `excess_db = parts_db + within_db + between_db`, exactly.
    """

    mixed: str
    attention_only: str
    n_layers: int
    d_model: int
    excess_db: float | None
    """How much more error the last state of the mixed stack has."""
    parts_db: float | None
    """Of it, because its parts, each alone, make more error."""
    within_db: float | None
    """Of it, because its layers of one kind do more to each other."""
    between_db: float | None
    """Of it, because its kinds do more to each other."""
    propagation_db: float | None
    """The same beyond independent noise."""
    coherence: float | None
    """Coherence of everything, the mixed stack's less that of attention alone."""
    coherence_between: float | None
    """Coherence between kinds likewise; the hypothesis says that this is above 0."""


def over_db(whole: float, parts: Iterable[float]) -> float | None:
    """What is found over the sum of the parts, in decibels; None where either is 0 or infinite."""
    total = math.fsum(parts)
    if not (0 < whole < math.inf and 0 < total < math.inf):
        return None
    return 10 * math.log10(whole / total)


def interaction_of(errors: Errors) -> Interaction | None:
    """The interaction in a model's layers; None where nothing in them is quantized."""
    if LAYERS not in errors.states:
        return None
    kinds = errors.kinds_in_layers
    single = {
        kind: [one.log_error for (k, _), one in errors.single.items() if k == kind]
        for kind in kinds
    }
    everything = [error for one in single.values() for error in one]
    last = {part: sums[-1].log_error for part, sums in errors.states.items()}
    together = {kind: last[kind] for kind in kinds}
    between = _between(errors.states, LAYERS, kinds)
    independent = _between(errors.independent, LAYERS, kinds)
    pairs = {}
    for pair in (part for part in errors.states if PAIR in part):
        both = (
            _between(sums, pair, pair.split(PAIR)) for sums in (errors.states, errors.independent)
        )
        pairs[pair] = _minus(*(one[-1] for one in both))
    return Interaction(
        log_error=errors.states[LAYERS][-1].log_error,
        parts=math.fsum(everything),
        within_db=over_db(math.fsum(together.values()), everything),
        within_kind_db={kind: over_db(together[kind], single[kind]) for kind in kinds},
        between_db=between,
        independent_db=independent,
        propagation_db=[_minus(*pair) for pair in zip(between, independent, strict=True)],
        pairs_db=pairs,
        coherence=coherence_of(last, single),
    )


def is_mixed(errors: Errors) -> bool:
    """Whether there are convolution modules in the layers, beside attention; quantized or not."""
    kinds = {module.kind for module in errors.modules if module.layer is not None}
    return {"attention", "convolution"} <= kinds


def compare(
    mixed: Interaction, attention_only: Interaction, names: tuple[str, str], shape: tuple[int, int]
) -> Comparison:
    """Two stacks of one shape (layers, width), by their names."""
    return Comparison(
        *names,
        *shape,
        excess_db=over_db(mixed.log_error, [attention_only.log_error]),
        parts_db=over_db(mixed.parts, [attention_only.parts]),
        within_db=_minus(mixed.within_db, attention_only.within_db),
        between_db=_minus(mixed.between_db[-1], attention_only.between_db[-1]),
        propagation_db=_minus(mixed.propagation_db[-1], attention_only.propagation_db[-1]),
        coherence=_minus(mixed.coherence.everything, attention_only.coherence.everything),
        coherence_between=_minus(mixed.coherence.between, attention_only.coherence.between),
    )


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


def _most(errors: Sequence[float]) -> float:
    """What the errors of pairs come to if amplitudes add: the sum of 2 sqrt(e_i e_j)."""
    return math.fsum(math.sqrt(error) for error in errors) ** 2 - math.fsum(errors)


def _share(gain: float, most: float) -> float | None:
    # A lone part has no pair; its rounding errors are none either.
    is_known = math.isfinite(gain) and most > 1e-9 * abs(gain)
    return gain / most if is_known and math.isfinite(most) else None


def _between(
    states: Mapping[str, Sequence[ErrorSums]], whole: str, kinds: Sequence[str]
) -> list[float | None]:
    """All over the sum of each alone, after every layer."""
    of = {part: [one.log_error for one in states[part]] for part in (whole, *kinds)}
    return [over_db(error, (of[kind][i] for kind in kinds)) for i, error in enumerate(of[whole])][
        1:
    ]


def _minus(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs
