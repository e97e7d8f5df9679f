"""The command that chooses a mixed plan under a budget (choose)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option
from earbit.cli.options import Json, Model, Seed
from earbit.model_names import refuse_program, require_model
from earbit.output import emit
from earbit.superb.names import corpora_of
from earbit.superb.tasks import task_named


def choose(
    model: Model,
    corpus: Annotated[
        str,
        Option(
            "CORPUS",
            "A folder of audio, or 'synthetic', to calibrate and compare on; with --task one with "
            "the labels of the task.",
        ),
    ],
    budget_ms: Annotated[
        float | None,
        Option("N", "Maximum time in ms for 10 s of audio on one thread of this CPU."),
    ] = None,
    budget_mb: Annotated[
        float | None, Option("N", "Maximum size of the program file in MB (10^6 bytes).")
    ] = None,
    task: Annotated[
        str | None,
        Option(
            "TASK",
            "Compare by the loss of a task on its validation clips. Without it, hidden states are "
            "compared, which needs no labels.",
        ),
    ] = None,
    head: Annotated[
        Path | None,
        Option(
            "DIR",
            "With --task: output folder of `earbit superb` with a head of this model. Without it, "
            "a head is trained first.",
        ),
    ] = None,
    precisions: Annotated[
        tuple[str, ...],
        Option("PRECISION", "Candidates beside float: weight and activation bits, as w1a4."),
    ] = ("w1a1", "w1a2", "w1a4", "w2a2", "w4a4", "w8a8"),
    clips: Annotated[
        int | None, Option("N", "Clips to compare on. Default: 16, and 128 with --task.")
    ] = None,
    seconds: Annotated[
        float | None,
        Option("S", "Without --task: length of each clip from its start. Default: 4."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            "FILE.json",
            "Plan file to write, for --plan of other commands. The evidence and the measurements "
            "are written beside it. Without it, only the table is printed.",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Chooses the bits of every role and layer under a budget of time or storage.

      earbit choose float --corpus my-audio --budget-ms 30 --out mine.json
      earbit choose float --corpus my-audio --task ks --budget-mb 2 --out mine.json
      earbit quantize float --corpus my-audio --plan mine.json --out onebit

    Measures the time of every role and layer in every precision on this CPU, and how much worse the
    model gets when it alone is quantized.  An integer program then finds the best plan.  Nothing is
    trained, so 1 bit looks worse than it is after `earbit quantize` (docs/plans.md).  The same
    command resumes after an interruption, and other budgets reuse the measurements.
    """
    require_model(model)
    refuse_program(model, "give the float model that it was exported from")
    if task is None:
        require_corpus(corpus)
    else:
        require_corpus(corpora_of([task_named(task)], [corpus])[task])
    from earbit.choose.arguments import check_arguments, columns_of
    from earbit.choose.solve import Budget

    budget = Budget(ms=budget_ms, mb=budget_mb)
    check_arguments(budget, task=task, head=head, n_clips=clips, seconds=seconds, out=out)
    columns_of(precisions)
    from earbit.choose.verb import choose_plan

    text, evidence = choose_plan(
        model,
        corpus,
        budget,
        task=task,
        head=head,
        precisions=precisions,
        n_clips=clips,
        seconds=seconds,
        out=out,
        seed=seed,
    )
    emit(evidence, json, text)
