"""The claims of arXiv 2311.02772, tested on the results of a study.

Every claim is true, false, or None: the study cannot tell.  The evidence is text with its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from earbit.study.report.comparisons import (
    Ratios,
    compared_losses,
    compared_scores,
    cost_ratios,
)
from earbit.study.report.estimates import over_seeds
from earbit.study.report.numbers import change, counted, digits, signed, times
from earbit.study.report.rows import FLOAT, Study, kind_of, n_layers_of, number

MIXED = ("conformer", "squeezeformer")
COMPARABLE = 1.1
"""Cost up to 10 % above another is comparable to it."""
REACHED = 0.9
"""A measured speed-up of 90 % of the estimate reaches it."""
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
    """Finds the parts by the types of the presets."""
    kinds = {encoder: kind_of(encoder) for encoder in study.encoders}
    sparse = sorted(
        (encoder for encoder, kind in kinds.items() if kind == "sparseformer"),
        key=n_layers_of,
        reverse=True,
    )
    is_pair = len(sparse) > 1 and n_layers_of(sparse[0]) > n_layers_of(sparse[-1])
    return Cast(
        transformer=next((e for e, kind in kinds.items() if kind == "transformer"), None),
        mixed=tuple(encoder for encoder, kind in kinds.items() if kind in MIXED),
        deep=sparse[0] if sparse else None,
        wide=sparse[-1] if is_pair else None,
    )


def claims_of(study: Study) -> list[Claim]:
    """All claims, in the order of the paper."""
    cast = cast_of(study)
    return [
        _mixed_cuts_cost(study, cast),
        _attention_is_as_cheap(study, cast),
        attention_is_better_in_1_bit(study, cast),
        attention_loses_less(study, cast),
        _errors_propagate(study),
        _wide_is_better(study, cast),
        time_is_as_estimated(study, cast),
    ]


def all_of(parts: Iterable[bool | None]) -> bool | None:
    """Whether all parts are true; None if none is false and one is unknown, or there are none."""
    found = list(parts)
    if False in found:
        return False
    return None if None in found or not found else True


def _mixed_cuts_cost(study: Study, cast: Cast) -> Claim:
    parts: list[bool | None] = []
    evidence = []
    for encoder in cast.mixed if cast.transformer else ():
        rows = (encoder, FLOAT), (str(cast.transformer), FLOAT)
        ratios = cost_ratios(study, *rows, names=("storage_bytes", "flops", "time_ms"))
        parts.append(ratios.all_below(1.0))
        scores = compared_scores(study, *rows)
        evidence.append(f"{encoder} against {cast.transformer}: {ratios}. Scores {scores}.")
    return Claim(
        "Conformer and Squeezeformer as the encoder cut the cost in full precision.",
        "Conformer-S against HuBERT Base: storage -64 %, FLOPs -74 %, WER 6.89 to 8.44 %",
        "storage, FLOPs and measured time of every mixed encoder are lower than those of the "
        "Transformer",
        all_of(parts),
        _or_missing(evidence, "a Transformer and a Conformer or Squeezeformer in fp32"),
    )


def _attention_is_as_cheap(study: Study, cast: Cast) -> Claim:
    parts: list[bool | None] = []
    evidence = []
    for encoder in cast.mixed if cast.deep else ():
        rows = (str(cast.deep), FLOAT), (encoder, FLOAT)
        ratios = cost_ratios(study, *rows, names=("storage_bytes", "flops", "time_ms"))
        close = Ratios(ratios.of)  # a time within the spread is comparable
        parts.append(close.all_below(COMPARABLE))
        scores = compared_scores(study, *rows)
        evidence.append(f"{cast.deep} against {encoder}: {ratios}. Scores {scores}.")
    return Claim(
        "Sparse attention alone, without convolution modules, is about as efficient.",
        "Sparseformer-DN-S is comparable to Conformer-S and Squeezeformer-XS in full precision",
        "storage, FLOPs and measured time are at most 10 % above those of every mixed encoder",
        all_of(parts),
        _or_missing(evidence, "a Sparseformer and a Conformer or Squeezeformer in fp32"),
    )


def attention_is_better_in_1_bit(study: Study, cast: Cast) -> Claim:
    """The main claim: better scores at lower cost under the low plan."""
    plan = study.low_plan
    parts: list[bool | None] = []
    evidence = []
    for encoder in cast.mixed if cast.deep and plan else ():
        rows = (str(cast.deep), str(plan)), (encoder, str(plan))
        scores = compared_scores(study, *rows)
        ratios = cost_ratios(study, *rows, names=("storage_bytes", "bops", "time_ms"))
        parts += [scores.verdict, ratios.all_below(1.0)]
        evidence.append(f"{cast.deep} against {encoder} in {plan}: {scores}. {_capital(ratios)}.")
    return Claim(
        "In 1 bit, attention alone scores better at lower cost than a mixed encoder.",
        "BQ-Sparseformer-DN-S against BQ-Conformer-S: WER 19.33 and 20.52 %, SD 9.64 and 11.11 %. "
        "BQ-Conformer-S has 7.7 % more storage, BQ-Sparseformer-DN-S has 32.9 % fewer BOPs",
        "better over all tasks, and storage, BOPs and measured time are lower, than every mixed "
        "encoder",
        all_of(parts),
        _or_missing(evidence, "a Sparseformer and a Conformer or Squeezeformer in 1 bit"),
    )


def attention_loses_less(study: Study, cast: Cast) -> Claim:
    """The same by the loss against fp32 of the same encoder."""
    plan = study.low_plan
    parts: list[bool | None] = []
    evidence = []
    for encoder in cast.mixed if cast.deep and plan else ():
        losses = compared_losses(study, str(cast.deep), encoder, str(plan))
        parts.append(losses.verdict)
        left_out = len(study.tasks) - losses.n_tasks
        more = f" {counted(left_out, 'task')} left out: no score, or fp32 at chance." * bool(
            left_out
        )
        evidence.append(f"Loss of {cast.deep} against that of {encoder}: {losses}.{more}")
    return Claim(
        "In 1 bit, attention alone loses a smaller share of its fp32 score than a mixed encoder.",
        "WER of HuBERT 6.89 to 16.83 %, of Conformer-S 8.44 to 20.52 %",
        "the loss is smaller over all tasks than that of every mixed encoder",
        all_of(parts),
        _or_missing(evidence, "a Sparseformer and a Conformer or Squeezeformer in fp32 and 1 bit"),
    )


def _errors_propagate(study: Study) -> Claim:
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
        _or_missing(evidence, "measured error propagation"),
    )


def _coherence_by_seed(study: Study) -> list[float]:
    """Mixed minus attention-only: net coherence between roles, averaged over encoders by seed."""
    by_seed: dict[object, tuple[list[float], list[float]]] = {}
    for record in study.table("propagation"):
        coherence = number(record, "interaction", "between", "net_coherence")
        if coherence is not None and record.get("plan") == study.low_plan:
            is_mixed = kind_of(str(record.get("encoder"))) in MIXED
            by_seed.setdefault(record.get("seed"), ([], []))[not is_mixed].append(coherence)
    return [_mean(mixed) - _mean(plain) for mixed, plain in by_seed.values() if mixed and plain]


def _errors_of(study: Study, encoder: str) -> str | None:
    """Errors of an encoder under the low plan: alone, and accumulated in the last module."""
    alone, last, coherence = [], [], []
    for record in study.table("propagation"):
        if record.get("encoder") != encoder or record.get("plan") != study.low_plan:
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
        f"{encoder}, {study.low_plan}: mean SQNR of modules alone {signed(_mean(alone))} dB, "
        f"accumulated in the last {signed(_mean(last))} dB{net_text}."
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sqnr_db(figures: object) -> float | None:
    """SQNR of a module, given in dB or as the figures of `earbit propagation`."""
    return number(figures if isinstance(figures, dict) else {"sqnr_db": figures}, "sqnr_db")


def _wide_is_better(study: Study, cast: Cast) -> Claim:
    plan = study.low_plan
    parts: list[bool | None] = []
    evidence = []
    for p in dict.fromkeys((FLOAT, plan)) if cast.wide and plan else ():
        rows = (str(cast.wide), str(p)), (str(cast.deep), str(p))
        scores, ratios = compared_scores(study, *rows), cost_ratios(study, *rows)
        if p == plan:
            parts = [scores.verdict, ratios.all_above(1.0)]
        evidence.append(f"{cast.wide} against {cast.deep} in {p}: {scores}. {_capital(ratios)}.")
    return Claim(
        "Shallow and wide scores better than deep and narrow, and costs more.",
        "Sparseformer-SW-S against -DN-S: better scores, larger storage, more products",
        f"in {plan or '1 bit'}, better over all tasks, and storage, FLOPs, BOPs and measured time "
        "are higher",
        all_of(parts),
        _or_missing(evidence, "two Sparseformers of different depth"),
    )


def time_is_as_estimated(study: Study, cast: Cast) -> Claim:
    """The gap that the paper leaves open: estimated against measured time."""
    plan, reference = study.low_plan, cast.transformer
    parts: list[bool | None] = []
    evidence = []
    for encoder in study.encoders if reference and plan else ():
        rows = (encoder, str(plan)), (str(reference), FLOAT)
        found = cost_ratios(study, *rows, names=("estimate_ms", "time_ms")).of
        if len(found) < 2 or not all(found.values()):
            continue
        estimated, measured = found["estimate_ms"], found["time_ms"]
        if encoder != (cast.deep or encoder):
            continue  # the page has a chart of all encoders
        parts.append(estimated / measured >= REACHED)
        evidence.append(
            f"{encoder} in {plan} against {reference} in fp32: estimated {change(estimated)} "
            f"({times(1 / estimated)}), measured {change(measured)} ({times(1 / measured)}), "
            f"{digits(100 * estimated / measured, 2)} % of the estimated speed-up."
        )
    return Claim(
        "The estimated saving of time is reached.",
        "BQ-Sparseformer-DN-S against HuBERT Base: -91.1 %, estimated from rates of an A100, not "
        "measured",
        "the measured speed-up is at least 90 % of the estimated one. The estimate is for an "
        "A100, the measurement for this CPU",
        all_of(parts),
        _or_missing(evidence, "a Transformer in fp32 with measured times"),
    )


def _capital(text: object) -> str:
    return str(text)[:1].upper() + str(text)[1:]


def _or_missing(evidence: Sequence[str], needed: str) -> tuple[str, ...]:
    return tuple(evidence) or (f"This study lacks {needed}.",)
