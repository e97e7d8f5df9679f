"""Whether errors of several kinds of module add up, or do more (or less) than that.

The measure of error is `ErrorSums.log_error`, which adds up where errors are independent; what is
found over that sum is the interaction, in decibels.  Since nothing adds up exactly in a model that
is not linear, the same is measured of independent noise; what quantization does beyond it is
propagation.  Decibels grow with the number of parts that interact; coherence is per pair of parts
(`coherence.py`).  docs/errors.md says how to read it.

A part is one kind in one layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from earbit.quantize.propagation.coherence import (
    ControlledCoherence,
    coherence_of,
    controlled,
    minus,
)
from earbit.quantize.propagation.measure import Errors
from earbit.quantize.propagation.parts import LAYERS, PAIR
from earbit.quantize.propagation.sums import ErrorSums


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
    coherence: ControlledCoherence


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
    coherence_between: float | None
    """Coherence between kinds beyond independent noise, the mixed stack's less that of attention
    alone; the hypothesis says that this is above 0."""
    coherence_within: float | None
    """Coherence within kinds likewise."""
    mixed_coherence: ControlledCoherence
    attention_only_coherence: ControlledCoherence


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
    last, single = _last_of(errors.states), _single_of(kinds, errors.single)
    everything = [error for one in single.values() for error in one]
    together = {kind: last[kind] for kind in kinds}
    between = _between(errors.states, LAYERS, kinds)
    independent = _between(errors.independent, LAYERS, kinds)
    pairs = {}
    for pair in (part for part in errors.states if PAIR in part):
        both = (
            _between(sums, pair, pair.split(PAIR)) for sums in (errors.states, errors.independent)
        )
        pairs[pair] = minus(*(one[-1] for one in both))
    return Interaction(
        log_error=errors.states[LAYERS][-1].log_error,
        parts=math.fsum(everything),
        within_db=over_db(math.fsum(together.values()), everything),
        within_kind_db={kind: over_db(together[kind], single[kind]) for kind in kinds},
        between_db=between,
        independent_db=independent,
        propagation_db=[minus(*pair) for pair in zip(between, independent, strict=True)],
        pairs_db=pairs,
        coherence=controlled(
            coherence_of(last, single),
            coherence_of(
                _last_of(errors.independent), _single_of(kinds, errors.independent_single)
            ),
        ),
    )


def compare(
    mixed: Interaction, attention_only: Interaction, names: tuple[str, str], shape: tuple[int, int]
) -> Comparison:
    """Two stacks of one shape (layers, width), by their names."""
    ours, theirs = mixed.coherence.controlled, attention_only.coherence.controlled
    return Comparison(
        *names,
        *shape,
        excess_db=over_db(mixed.log_error, [attention_only.log_error]),
        parts_db=over_db(mixed.parts, [attention_only.parts]),
        within_db=minus(mixed.within_db, attention_only.within_db),
        between_db=minus(mixed.between_db[-1], attention_only.between_db[-1]),
        propagation_db=minus(mixed.propagation_db[-1], attention_only.propagation_db[-1]),
        coherence_between=minus(ours.between, theirs.between),
        coherence_within=minus(ours.within, theirs.within),
        mixed_coherence=mixed.coherence,
        attention_only_coherence=attention_only.coherence,
    )


def _last_of(states: Mapping[str, Sequence[ErrorSums]]) -> dict[str, float]:
    return {part: sums[-1].log_error for part, sums in states.items()}


def _single_of(
    kinds: Sequence[str], single: Mapping[tuple[str, int], ErrorSums]
) -> dict[str, list[float]]:
    """Errors of every part alone, by kind."""
    return {
        kind: [one.log_error for (its, _), one in single.items() if its == kind] for kind in kinds
    }


def _between(
    states: Mapping[str, Sequence[ErrorSums]], whole: str, kinds: Sequence[str]
) -> list[float | None]:
    """All over the sum of each alone, after every layer."""
    of = {part: [one.log_error for one in states[part]] for part in (whole, *kinds)}
    return [over_db(error, (of[kind][i] for kind in kinds)) for i, error in enumerate(of[whole])][
        1:
    ]
