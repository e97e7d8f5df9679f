"""The claim about the propagation of errors, which the paper leaves as a hypothesis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from earbit.heads.estimates import over_seeds
from earbit.study.report.claim import Claim, or_missing_in_1_bit
from earbit.study.report.numbers import counted, signed
from earbit.study.report.rows import Study, number


def errors_propagate(study: Study) -> Claim:
    """The claim, tested by the net coherence of errors between roles (docs/propagation.md)."""
    verdict = None
    evidence = []
    by_seed = _coherence_by_seed(study)
    if by_seed:
        mean = over_seeds(by_seed, [None] * len(by_seed))
        verdict = mean.value > 0 if mean.excludes_zero else None
        span = "one seed has no interval"
        if mean.low is not None and mean.high is not None:
            span = f"95 % interval {signed(mean.low, 2)} to {signed(mean.high, 2)}"
        evidence.append(
            "Net coherence of errors between roles, mean of mixed encoders minus mean of those "
            f"with attention alone: {signed(mean.value, 2)} over "
            f"{counted(len(by_seed), 'seed')} ({span})."
        )
    evidence += [text for e in study.encoders if (text := _errors_of(study, e))]
    return Claim(
        "Errors propagate between quantized modules of different kinds.",
        "a hypothesis, not measured",
        "the net coherence of errors between roles is higher in mixed encoders than with "
        "attention alone, with an interval above 0 over seeds (docs/propagation.md)",
        verdict,
        or_missing_in_1_bit(study, evidence, "measured error propagation"),
    )


def _coherence_by_seed(study: Study) -> list[float]:
    """Mixed minus attention-only: net coherence between roles, averaged over encoders by seed."""
    by_seed: dict[object, tuple[list[float], list[float]]] = {}
    for record in study.table("propagation"):
        coherence = number(record, "interaction", "between", "net_coherence")
        is_mixed = record.get("is_mixed")
        if coherence is None or not isinstance(is_mixed, bool):
            continue
        if record.get("plan") == study.one_bit_plan:
            by_seed.setdefault(record.get("seed"), ([], []))[not is_mixed].append(coherence)
    return [_mean(mixed) - _mean(plain) for mixed, plain in by_seed.values() if mixed and plain]


def _errors_of(study: Study, encoder: str) -> str | None:
    """Errors of an encoder in 1 bit: alone, and accumulated in the last module."""
    alone, last, coherence = [], [], []
    for record in study.table("propagation"):
        if record.get("encoder") != encoder or record.get("plan") != study.one_bit_plan:
            continue
        modules = [m for m in record.get("modules") or [] if isinstance(m, dict)]
        alone += [v for m in modules if (v := sqnr_db(m.get("alone"))) is not None]
        net = number(record, "interaction", "between", "net_coherence")
        coherence += [] if net is None else [net]
        last += [v for m in modules[-1:] if (v := sqnr_db(m.get("accumulated"))) is not None]
    if not alone or not last:
        return None
    net_text = f", net coherence {signed(_mean(coherence), 2)}" if coherence else ""
    return (
        f"{encoder}, {study.one_bit_plan}: mean SQNR of modules alone {signed(_mean(alone))} dB, "
        f"accumulated in the last {signed(_mean(last))} dB{net_text}."
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sqnr_db(figures: object) -> float | None:
    """SQNR of a module, given in dB or as the figures of `earbit propagation`."""
    return number(figures if isinstance(figures, dict) else {"sqnr_db": figures}, "sqnr_db")
