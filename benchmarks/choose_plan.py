"""Plans of `earbit choose` against named plans at equal time: frozen scores of a task.

python benchmarks/choose_plan.py MODEL --corpus DIR --out DIR --report FILE.json

All plans are calibrated on training clips and not trained.  For each named plan, `earbit choose`
gets its measured time as the budget, without or with the labels of the task.  The head of every
plan is trained on the features of its program (`earbit superb`).  Then all programs are timed in
turns: CPU time of 10 s of audio on one thread.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.verb import machine
from earbit.choose.solve import Budget
from earbit.choose.times import SECONDS
from earbit.choose.verb import choose_plan
from earbit.errors import ConfigError
from earbit.export.verb import export_to
from earbit.files import make_folder, write_json
from earbit.load import load_model
from earbit.model_digest import weights_digest
from earbit.progress import say
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.clips import audio_of
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips, student_of
from earbit.runtime.session import Session
from earbit.superb.task import SCORES_NAME
from earbit.superb.tasks import task_named
from earbit.superb.verb import score_work
from earbit.superb.work import Settings, Work, named_work
from earbit.upstream.corpus_features import corpus_features
from earbit.upstream.upstream import program_upstream

NAMED = ("w8a8", "w4a4", "w2a2", "w1a1-encoder", "w1a1")
N_TURNS = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--corpus", required=True, help="a corpus with the labels of the task")
    parser.add_argument("--task", default="ks")
    parser.add_argument("--plans", nargs="+", default=NAMED)
    parser.add_argument("--by", nargs="+", default=("states", "task"), choices=("states", "task"))
    parser.add_argument("--lrs", nargs="+", type=float, default=(1e-1, 1e-2, 1e-3))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    rows = [{"plan": "fp32", "against": None, "by": None, "file": None}]
    rows += [{"plan": plan, "against": None, "by": None, "file": plan} for plan in args.plans]
    data = data_of(args)
    for row in rows:
        prepare(args, data, row)
    chosen: list[dict[str, Any]] = []
    for by in args.by:
        for named in rows[1:]:
            row = choose(args, named, by)
            if row is not None:
                prepare(args, data, row)
                chosen.append(row)
                write(args, rows + chosen)
    measure(args, rows + chosen)
    write(args, rows + chosen)


def named_times(args: argparse.Namespace, task: str | None) -> dict[str, float]:
    """Times of named plans in ms as `earbit choose` measures them: those of its evidence."""
    out = args.out / (task or "states") / "first.json"
    beside = out.with_name("first.evidence.json")
    if not beside.is_file():
        # Any budget below that of the float model; the measurements serve all budgets.
        mb = 0.5 * (args.out / "programs" / "fp32.safetensors").stat().st_size / 1e6
        choose_plan(args.model, args.corpus, Budget(mb=mb), task=task, out=out, seed=args.seed)
    return {one["plan"]: one["ms"] for one in json.loads(beside.read_text())["named"]}


def choose(args: argparse.Namespace, named: dict[str, Any], by: str) -> dict[str, Any] | None:
    """The chosen plan at the time of a named plan."""
    task = args.task if by == "task" else None
    budget_ms = named_times(args, task)[named["plan"]]
    name = f"{by}-{named['plan']}"
    out = args.out / (task or "states") / f"{name}.json"
    if not out.is_file():
        try:
            choose_plan(
                args.model,
                args.corpus,
                Budget(ms=budget_ms),
                task=task,
                out=out,
                seed=args.seed,
            )
        except ConfigError as error:
            say(f"{name}: {error}")
            return None
    evidence = json.loads(out.with_name(f"{name}.evidence.json").read_text())
    found = evidence["chosen"]
    return {
        "plan": name,
        "against": named["plan"],
        "by": by,
        "file": str(out),
        "budget_ms": evidence["budget"]["ms"],
        "rules": found["rules"],
        "penalty": found["measured"]["penalty"],
        "estimated_penalty": found["estimated"]["penalty"],
        "estimated_ms": found["estimated"]["ms"],
        "choose_ms": found["measured"]["ms"],
    }


@dataclass(frozen=True)
class Data:
    """Clips of the task."""

    work: Work
    waveforms: Mapping[str, np.ndarray]
    """Decoded once for all plans."""
    calibration: list[np.ndarray]


def data_of(args: argparse.Namespace) -> Data:
    """The task on its corpus; sixteen training clips calibrate all plans."""
    corpus = open_corpus(args.corpus)
    work = named_work(task_named(args.task), corpus)
    waveforms = {cut.id: load_waveform(cut) for cut in corpus.cuts if cut.id in work.ids}
    return Data(work, waveforms, audio_of(corpus, work.train_ids, args.seed))


def prepare(args: argparse.Namespace, data: Data, row: dict[str, Any]) -> None:
    """The program of a plan, and its score."""
    program = args.out / "programs" / f"{row['plan']}.safetensors"
    if not program.is_file():
        model, clips = load_model(args.model), data.calibration
        if row["file"] is not None:
            plan = plan_named(row["file"])
            model = student_of(model, plan, clips, CalibrationConfig()).eval()
        export_to(model, program, name=row["plan"], waveform=clips[0])
    row["program"], row["mb"] = program, program.stat().st_size / 1e6
    out = make_folder(args.out / "scores" / row["plan"])
    if not (out / SCORES_NAME).is_file():
        upstream = program_upstream(program, 1)
        work, cache = data.work, out / "features"
        features, _ = corpus_features(upstream, work.corpus, work.ids, cache, data.waveforms)
        settings = Settings(lrs=tuple(args.lrs))
        write_json(out / SCORES_NAME, score_work(work, features, out, settings, args.seed))
        shutil.rmtree(cache)
    score = json.loads((out / SCORES_NAME).read_text())
    row |= {key: score[key] for key in ("metric", "value", "interval", "valid_value", "n_test")}
    say(f"{row['plan']}: {score['metric']} {score['value']:.4f}, {row['mb']:.3f} MB")


def measure(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Times all programs in turns."""
    (audio,) = noise_clips(args.seed, n_clips=1, n_samples=round(SECONDS * SAMPLE_RATE_HZ))
    sessions = [Session(row["program"], threads=1) for row in rows]
    times_ms = np.zeros((N_TURNS + 2, len(rows)))
    for turn in times_ms:
        for i, session in enumerate(sessions):
            start_s = time.thread_time()
            session.run(audio)
            turn[i] = 1e3 * (time.thread_time() - start_s)
    for row, its in zip(rows, times_ms[2:].T, strict=True):
        row["ms"], row["p10_ms"], row["p90_ms"] = np.percentile(its, (50, 10, 90)).tolist()


def write(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Writes the report."""
    shown = [{k: v for k, v in row.items() if k not in ("program", "file")} for row in rows]
    model = load_model(args.model)
    report = {
        "benchmark": "choose_plan",
        "machine": machine(),
        "model_digest": weights_digest(model),
        "n_layers": model.config.encoder.n_layers,
        "d_model": model.config.encoder.d_model,
        "task": args.task,
        "seconds": SECONDS,
        "lrs": list(args.lrs),
        "seed": args.seed,
        "rows": shown,
    }
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
