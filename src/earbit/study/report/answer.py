"""The answer of a study in a paragraph, with its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from earbit.study.report.claim import Cast, Claim, cast_of
from earbit.study.report.claims import attention_is_better_in_1_bit, attention_loses_less
from earbit.study.report.comparisons import compared_scores, cost_ratios, relative_loss
from earbit.study.report.numbers import change, counted, digits, times
from earbit.study.report.rows import FLOAT, Study

QUESTION = (
    "Does a speech encoder of sparse attention alone (Sparseformer) keep more of its accuracy in "
    "1 bit, at less storage, operations and measured time, than an encoder that mixes attention "
    "with convolution (Conformer, Squeezeformer)?"
)
BETTER_NOT = "It does not score better at lower cost."
BETTER_UNCLEAR = "Whether it scores better at lower cost is not clear."
LESS_UNCLEAR = "Whether it loses less is not clear."


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer: one line, then paragraphs of sentences with numbers."""

    headline: str
    paragraphs: tuple[tuple[str, ...], ...]


def answer_of(study: Study) -> Answer:
    """The answer that the results give to `QUESTION`."""
    cast = cast_of(study)
    better, less = attention_is_better_in_1_bit(study, cast), attention_loses_less(study, cast)
    worth = (*_scores(study, cast), *_losses(study))
    rest = (*_costs(study, cast), *_limits(study))
    headline = _headline(study, better, less) if worth else _without_pairs(study)
    return Answer(headline, tuple(filter(None, (worth, rest))))


def _without_pairs(study: Study) -> str:
    if not study.table("scores"):
        return "This study has no scores, so it compares cost and time alone."
    return "This study does not tell: it has no scores to compare in 1 bit."


def _headline(study: Study, better: Claim, less: Claim) -> str:
    scale = study.part("settings").get("scale", "unknown")
    if study.one_bit_plan is None:
        return "Cannot tell: no 1-bit plan."
    if better.verdict and less.verdict:
        return "Yes: it scores better, loses less and costs less."
    if better.verdict:
        rest = "It does not lose less." if less.verdict is False else LESS_UNCLEAR
        return f"In part: it scores better at lower cost. {rest}"
    if less.verdict:
        rest = BETTER_UNCLEAR if better.verdict is None else BETTER_NOT
        return f"In part: it loses less. {rest}"
    if better.verdict is False and less.verdict is False:
        return "No: it neither scores better at lower cost nor loses less in this study."
    if better.verdict is False:
        return f"No: it does not score better at lower cost in this study. {LESS_UNCLEAR}"
    if less.verdict is False:
        return f"No: it does not lose less in this study. {BETTER_UNCLEAR}"
    return f"Cannot tell at this scale ({scale})."


def _scores(study: Study, cast: Cast) -> list[str]:
    """Scores of the Sparseformer beside each mixed encoder, under the low plan."""
    plan = study.low_plan
    if plan is None or cast.deep is None:
        return []
    sentences = []
    for encoder in cast.mixed:
        found = compared_scores(study, (cast.deep, plan), (encoder, plan))
        if found.n_tasks:
            rest = f"; in {len(found.unclear)} the difference is not clear" * bool(found.unclear)
            sentences.append(f"In {plan}, {cast.deep} against {encoder}: {found}{rest}.")
    return sentences


def _losses(study: Study) -> list[str]:
    """In how many tasks each encoder loses the least, and against fp32 over all encoders."""
    plan = study.low_plan
    if plan is None or FLOAT not in study.plans:
        return []
    least: dict[str, int] = dict.fromkeys(study.encoders, 0)
    n_tasks = 0
    for task in study.tasks:
        losses = {e: relative_loss(study, e, plan, task) for e in study.encoders}
        known = {encoder: loss.value for encoder, loss in losses.items() if loss is not None}
        if len(known) > 1:
            n_tasks += 1
            least[min(known, key=known.__getitem__)] += 1
    sentences = []
    if n_tasks:
        ranked = sorted(least.items(), key=lambda pair: -pair[1])
        counts = ", ".join(f"{encoder} in {n}" for encoder, n in ranked if n)
        sentences.append(
            f"The smallest relative loss from fp32 to {plan}, in {counted(n_tasks, 'task')} with a "
            f"float score above chance: {counts} (without regard to intervals)."
        )
    worse, n_pairs = 0, 0
    for encoder in study.encoders:
        found = compared_scores(study, (encoder, plan), (encoder, FLOAT))
        worse, n_pairs = worse + len(found.worse), n_pairs + found.n_tasks
    if n_pairs:
        sentences.append(
            f"{plan} is clearly worse than fp32 of the same encoder in {worse} of {n_pairs} pairs "
            "of encoder and task."
        )
    return sentences


def _costs(study: Study, cast: Cast) -> list[str]:
    """What the Sparseformer under the low plan costs, against the Transformer in fp32."""
    plan = study.low_plan
    encoder = cast.deep or next(iter(study.encoders), None)
    reference = cast.transformer or encoder
    if plan is None or encoder is None or reference is None:
        return []
    found = cost_ratios(
        study, (encoder, plan), (reference, FLOAT), names=("storage_bytes", "bops", "time_ms")
    )
    if not found.of:
        return []
    sentence = f"{encoder} in {plan} against {reference} in fp32: {found}"
    estimated = cost_ratios(study, (encoder, plan), (reference, FLOAT), names=("estimate_ms",)).of
    time_ms, measured = study.figure("time_ms", encoder, plan), found.of.get("time_ms")
    if time_ms is not None and measured:
        sentence += f" ({digits(time_ms)} ms, {times(1 / measured)} as fast)"
    if estimated:
        sentence += f". The estimate for an A100 is {change(estimated['estimate_ms'])}"
    return [f"{sentence}."]


def _limits(study: Study) -> list[str]:
    """What the intervals cover."""
    if not study.tasks:
        return []
    n = len(study.seeds)
    if n == 1:
        return [
            "There is one seed: intervals cover the choice of test clips and not the differences "
            "between trainings."
        ]
    return [f"Intervals cover the choice of test clips and the spread of {n} seeds."]
