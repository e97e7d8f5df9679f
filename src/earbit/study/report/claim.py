"""A claim of arXiv 2311.02772, and the parts that encoders play in the claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from earbit.study.report.rows import ONE_BIT, Study

MIXED = ("conformer", "squeezeformer")
VERDICTS = {True: "holds", False: "does not hold", None: "cannot tell"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper, its figures there, and what this study found."""

    title: str
    paper: str
    rule: str
    """When the claim holds."""
    verdict: bool | None
    evidence: tuple[str, ...]

    @property
    def word(self) -> str:
        """The verdict in words."""
        return VERDICTS[self.verdict]


@dataclass(frozen=True, slots=True)
class Cast:
    """Which encoders of a study play which part in the claims."""

    transformer: str | None
    mixed: tuple[str, ...]
    deep: str | None
    """The Sparseformer with the most layers."""
    wide: str | None
    """The one with the fewest, if there are two."""


def cast_of(study: Study) -> Cast:
    """Finds the parts by the types of the encoders."""
    kinds = {encoder: study.kind_of(encoder) for encoder in study.encoders}
    sparse = sorted(
        (encoder for encoder, kind in kinds.items() if kind == "sparseformer"),
        key=study.n_layers_of,
        reverse=True,
    )
    is_pair = len(sparse) > 1 and study.n_layers_of(sparse[0]) > study.n_layers_of(sparse[-1])
    return Cast(
        transformer=next((e for e, kind in kinds.items() if kind == "transformer"), None),
        mixed=tuple(encoder for encoder, kind in kinds.items() if kind in MIXED),
        deep=sparse[0] if sparse else None,
        wide=sparse[-1] if is_pair else None,
    )


def all_of(parts: Iterable[bool | None]) -> bool | None:
    """Whether all parts are true; None if none is false and one is unknown, or there are none."""
    found = list(parts)
    if False in found:
        return False
    return None if None in found or not found else True


def or_missing(evidence: Sequence[str], needed: str) -> tuple[str, ...]:
    """Returns the evidence, or a sentence that names the missing data."""
    return tuple(evidence) or (f"This study lacks {needed}.",)


def or_missing_in_1_bit(study: Study, evidence: Sequence[str], needed: str) -> tuple[str, ...]:
    """The same for a claim about 1 bit, which no plan of more bits can decide."""
    one_bit = f"a 1-bit plan ({' or '.join(ONE_BIT)})"
    return or_missing(evidence, needed if study.one_bit_plan else one_bit)
