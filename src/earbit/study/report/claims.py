"""The claims of arXiv 2311.02772, tested on the results of a study.

Every claim is true, false, or None: the study cannot tell.  The evidence is text with its numbers.
"""

from __future__ import annotations

from earbit.study.report.claim import (
    Cast,
    Claim,
    all_of,
    cast_of,
    or_missing,
    or_missing_in_1_bit,
)
from earbit.study.report.comparisons import Ratios, compared_losses, compared_scores, cost_ratios
from earbit.study.report.error_claim import errors_propagate
from earbit.study.report.numbers import change, counted, digits, times
from earbit.study.report.rows import FLOAT, Study

COMPARABLE = 1.1
"""Cost up to 10 % above another is comparable to it."""
REACHED = 0.9
"""A measured speed-up of 90 % of the estimate reaches it."""


def claims_of(study: Study) -> list[Claim]:
    """All claims, in the order of the paper."""
    cast = cast_of(study)
    return [
        _mixed_cuts_cost(study, cast),
        _attention_is_as_cheap(study, cast),
        attention_is_better_in_1_bit(study, cast),
        attention_loses_less(study, cast),
        errors_propagate(study),
        _wide_is_better(study, cast),
        time_is_as_estimated(study, cast),
    ]


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
        or_missing(evidence, "a Transformer and a Conformer or Squeezeformer in fp32"),
    )


def _attention_is_as_cheap(study: Study, cast: Cast) -> Claim:
    parts: list[bool | None] = []
    evidence = []
    for encoder in cast.mixed if cast.deep else ():
        rows = (str(cast.deep), FLOAT), (encoder, FLOAT)
        ratios = cost_ratios(study, *rows, names=("storage_bytes", "flops", "time_ms"))
        # A time within its spread is comparable, or it is unclear whether it is.
        unclear = tuple(name for name in ratios.unclear if ratios.of[name] >= COMPARABLE)
        parts.append(Ratios(ratios.of, unclear, ratios.missing).all_below(COMPARABLE))
        scores = compared_scores(study, *rows)
        evidence.append(f"{cast.deep} against {encoder}: {ratios}. Scores {scores}.")
    return Claim(
        "Sparse attention alone, without convolution modules, is about as efficient.",
        "Sparseformer-DN-S is comparable to Conformer-S and Squeezeformer-XS in full precision",
        "storage, FLOPs and measured time are at most 10 % above those of every mixed encoder",
        all_of(parts),
        or_missing(evidence, "a Sparseformer and a Conformer or Squeezeformer in fp32"),
    )


def attention_is_better_in_1_bit(study: Study, cast: Cast) -> Claim:
    """The main claim: better scores at lower cost in 1 bit."""
    plan = study.one_bit_plan
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
        or_missing_in_1_bit(
            study, evidence, "a Sparseformer and a Conformer or Squeezeformer in 1 bit"
        ),
    )


def attention_loses_less(study: Study, cast: Cast) -> Claim:
    """The same by the loss against fp32 of the same encoder."""
    plan = study.one_bit_plan
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
        or_missing_in_1_bit(
            study, evidence, "a Sparseformer and a Conformer or Squeezeformer in fp32 and 1 bit"
        ),
    )


def _wide_is_better(study: Study, cast: Cast) -> Claim:
    plan = study.one_bit_plan
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
        or_missing_in_1_bit(study, evidence, "two Sparseformers of different depth"),
    )


def time_is_as_estimated(study: Study, cast: Cast) -> Claim:
    """The gap that the paper leaves open: estimated against measured time."""
    plan, reference = study.one_bit_plan, cast.transformer
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
        or_missing_in_1_bit(study, evidence, "a Transformer in fp32 with measured times"),
    )


def _capital(text: object) -> str:
    return str(text)[:1].upper() + str(text)[1:]
