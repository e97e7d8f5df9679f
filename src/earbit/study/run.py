"""`earbit study`: the comparison of encoders and precisions, from a corpus to a report."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earbit.audio.corpus import say_unusable
from earbit.audio.training_corpus import TrainingCorpus
from earbit.distributed import first, n_ranks, only_run_in
from earbit.errors import ConfigError, DataError, EarbitError, UnsupportedError
from earbit.files import refuse_other_files, write_json
from earbit.progress import say
from earbit.study.dry_run import disk_bytes, render_dry_run
from earbit.study.estimates import estimated
from earbit.study.graph import Graph
from earbit.study.launch import launch_lines, write_recipes
from earbit.study.outcome import Outcome
from earbit.study.overview import overview_of
from earbit.study.ranks import run_in_ranks
from earbit.study.report.page import write_report
from earbit.study.request import Request, served
from earbit.study.results import Results
from earbit.study.schedule import run_graph
from earbit.study.stages.table import function_of
from earbit.study.step import Place, Step, places_of, read_result
from earbit.study.summary import summary
from earbit.study.workers import Workers
from earbit.units.labelled import labelled, open_training_corpus, units_in
from earbit.units.quarantine import lost_ids

STUDY_NAME = "study.json"
RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a study."""

    text: str
    """The summary."""
    n_failed: int = 0
    n_not_run: int = 0
    is_bug: bool = False
    """Whether a step failed by a bug of earbit."""

    def check(self, out_dir: Path) -> None:
        """Raises DataError if a step failed, or SystemExit with 1 if that is a bug."""
        if not self.n_failed:
            return
        after = f", {self.n_not_run} that need them were not run" if self.n_not_run else ""
        text = (
            f"{self.n_failed} steps failed{after}; {out_dir / RESULTS_NAME} has the others; the "
            "same command runs them again"
        )
        if self.is_bug:
            say(f"earbit: {text}")
            raise SystemExit(1)
        raise DataError(text)


def run_study(request: Request, out_dir: Path, *, dry_run: bool = False) -> Ended:
    """Runs or resumes a study, and writes results.json and report.html.

    Before the first step, raises ConfigError for unknown names and if `out_dir` holds other files
    or a study of another corpus or scale, or is in use by another process; and DataError for a
    corpus without usable audio, given units of another one, and a disk with too little space.  A
    step that fails does not stop those that do not need it.  dry_run: returns the steps with their
    costs and writes nothing.
    """
    request.check()
    _check_files(out_dir)
    if dry_run:
        opened = _opened(request, out_dir, is_measured=True)
        lines = launch_lines(opened.steps, opened.places, request, out_dir)
        return Ended(render_dry_run(opened.results, opened.places, lines))
    with only_run_in(out_dir):
        opened = _opened(request, out_dir)
        first(lambda: _begin(opened, out_dir))
        return _run(opened.results, opened.places, out_dir)


def _begin(opened: _Opened, out_dir: Path) -> None:
    """Checks folder and disk space, and writes the description of the study."""
    steps, places, request = opened.steps, opened.places, opened.results.request
    _check_disk(steps, places, out_dir, request.n_jobs)
    write_json(out_dir / STUDY_NAME, _kept(request, opened.results.corpus_digest))
    write_recipes(steps, places, request, out_dir)
    if n_ranks() == 1:
        for line in launch_lines(steps, places, request, out_dir):
            say(line)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A study whose corpora are opened."""

    results: Results
    places: Mapping[str, Place]

    @property
    def steps(self) -> Sequence[Step]:
        return self.results.steps


def _kept(request: Request, corpus_digest: str) -> dict[str, str]:
    """What a folder keeps of its study."""
    return {
        "corpus": request.corpus,
        "corpus_digest": corpus_digest,
        "scale": request.scale_name,
    }


def _opened(request: Request, out_dir: Path, *, is_measured: bool = False) -> _Opened:
    """Opens all corpora, without decoding audio, and builds the graph."""
    corpus = open_training_corpus(request.corpus, resplit=request.resplit)
    _check_same(out_dir, _kept(request, corpus.digest))
    say_unusable(corpus)
    if (units := request.units) is not None:
        _check_units(corpus, units)
    found = served(request)
    for task, reason in found.left_out.items():
        say(f"{task} is left out: {reason}")
    graph = Graph(request, found, corpus.digest)
    steps = estimated(graph.steps(), request, found, is_measured=is_measured)
    results = Results(request, found, corpus.digest, steps, {})
    return _Opened(results, places_of(steps, out_dir))


def _check_units(corpus: TrainingCorpus, units: Path) -> None:
    """Raises DataError, before the first step, for units that are not of the corpus."""
    try:
        labelled(corpus, units_in(units), lost_ids(units))
    except DataError as error:
        raise DataError(f"--set units={units} with --corpus {corpus.name}: {error}") from error


def _run(results: Results, places: Mapping[str, Place], out_dir: Path) -> Ended:
    """Runs the steps, in processes of their own or in the ranks of torchrun."""
    request, steps = results.request, results.steps
    found: dict[str, Outcome] = {}
    start_s = time.monotonic()

    def tables() -> dict[str, Any]:
        made = replace(results, found=found).as_dict(time.monotonic() - start_s)
        write_json(out_dir / RESULTS_NAME, made)
        return made

    try:
        if n_ranks() > 1:
            run_in_ranks(steps, places, function_of, found, request.threads)
        else:
            _run_here(steps, places, request, found)
    except KeyboardInterrupt:
        with contextlib.suppress(EarbitError):
            first(lambda: tables() and None)
        raise
    return first(lambda: _end(tables(), steps, found, out_dir))


def _run_here(
    steps: Sequence[Step],
    places: Mapping[str, Place],
    request: Request,
    found: dict[str, Outcome],
) -> None:
    workers = Workers(request.n_jobs, request.threads)
    try:
        with overview_of(steps, request.n_jobs) as watcher:
            run_graph(steps, places, function_of, workers, watcher, found)
    finally:
        workers.close()


def _end(
    tables: dict[str, Any], steps: Sequence[Step], found: Mapping[str, Outcome], out_dir: Path
) -> Ended:
    _write_page(tables, out_dir / REPORT_NAME)
    failed = [one for one in found.values() if one.state == "failed"]
    n_done = sum(one.state == "done" for one in found.values())
    return Ended(
        summary(tables, out_dir),
        n_failed=len(failed),
        n_not_run=len(steps) - n_done - len(failed),
        is_bug=any(one.is_bug for one in failed),
    )


def _write_page(results: Mapping[str, Any], path: Path) -> None:
    """Writes the report, if its packages are installed; the results are there anyway."""
    try:
        write_report(results, path)
    except UnsupportedError as error:
        say(f"{path.name} is not written: {error}")


def _check_files(out_dir: Path) -> None:
    """Raises ConfigError if a folder that holds no study holds other files."""
    if not (out_dir / STUDY_NAME).exists():
        refuse_other_files(out_dir, {RESULTS_NAME, REPORT_NAME})


def _check_same(out_dir: Path, kept: Mapping[str, Any]) -> None:
    """Raises ConfigError if a folder holds a study of another corpus or scale."""
    path = out_dir / STUDY_NAME
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in kept if before.get(name) != kept[name]]
    except (OSError, ValueError, AttributeError):
        raise ConfigError(f"{path}: cannot be read; give another --out") from None
    if "corpus_digest" not in changed and "scale" not in changed:
        return  # a corpus that has only moved is the same
    if changed == ["corpus_digest"]:
        raise ConfigError(
            f"{out_dir}: holds a study of {kept['corpus']} with other files or labels; give "
            "another --out"
        )
    name = "corpus" if "corpus_digest" in changed else "scale"
    raise ConfigError(
        f"{out_dir}: holds a study with another {name} ({before.get(name)}, here {kept[name]}); "
        "give another --out"
    )


def _check_disk(
    steps: Sequence[Step], places: Mapping[str, Place], out_dir: Path, n_jobs: int
) -> None:
    """Raises DataError if the disk has less space than the steps need."""
    left = [step for step in steps if read_result(step, places[step.id]) is None]
    needed, free = disk_bytes(left, n_jobs), shutil.disk_usage(out_dir).free
    if needed > free:
        raise DataError(
            f"{out_dir}: the study needs about {needed / 1e9:.1f} GB of disk and "
            f"{free / 1e9:.1f} GB are free; free some, or give another --out"
        )
