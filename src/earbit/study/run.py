"""`earbit study`: pre-train, quantize, cost, score, export, measure; then results and report.

Every stage writes its result atomically into its own folder.  Stages with a result are skipped, so
an interrupted study resumes.
"""

from __future__ import annotations

import itertools
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import earbit
from earbit.audio.corpus import Corpus, decoded_corpus, naming_unusable, open_corpus, say_ignored
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.training_split import training_split
from earbit.bench.side_by_side import bench
from earbit.config import to_dict
from earbit.cost.lengths import macs_by_length
from earbit.cost.profile import profile_model
from earbit.cost.records import to_json
from earbit.errors import ConfigError
from earbit.export.verb import export_to
from earbit.files import make_folder, write_json
from earbit.folder_lock import only_process_in
from earbit.load import load_model, random_model
from earbit.model_names import distinct_models
from earbit.presets import preset
from earbit.pretrain.verb import pretrain_on
from earbit.progress import say
from earbit.quantize.convert import precisions_of
from earbit.quantize.stages import quantize_on
from earbit.study.old_report import bits_equal, write_report
from earbit.study.scale import Scale, scale_named
from earbit.study.score import score_on
from earbit.superb.examples import task_splits
from earbit.superb.tasks import task_named
from earbit.terminal import printable
from earbit.units.discover import UnitConfig
from earbit.units.labelled import TrainingData, open_training_corpus, training_data

PLANS = ("fp32", "w1a1")
UNTRAINED = "random weights"
"""Folder of the untrained baseline."""
STAGES_OF_PLAN = ("train", "cost", "export", "ks", "bench")


@dataclass(frozen=True)
class Study:
    """A study that decodes and labels its corpus when a stage first needs it."""

    corpus_where: str
    opened: Corpus
    out_dir: Path
    scale: Scale
    seed: int
    n_stages: int
    resplit: bool = False
    stage_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @cached_property
    def corpus(self) -> tuple[Corpus, Mapping[str, np.ndarray]]:
        """The corpus and its audio, decoded once."""
        decoded, waveforms = decoded_corpus(self.opened, self.out_dir)
        # Without damaged files, a class may be missing.
        check_serves(decoded)
        return decoded, waveforms

    @cached_property
    def data(self) -> TrainingData:
        """The corpus split and labelled with units."""
        corpus = open_training_corpus(self.corpus_where, resplit=self.resplit)
        config = UnitConfig(n_units=self.scale.n_units, seed=self.seed)
        return training_data(self.corpus_where, corpus, self.out_dir / "units", config)

    def longest_clip(self) -> np.ndarray:
        """Audio of the longest clip, for `verify`."""
        data = self.data
        return data.read(max(data.valid, key=lambda clip: clip.n_samples))

    def stage(self, folder: Path, name: str, run: Callable[[Path], Any]) -> Any:
        """Returns the result of a stage, run now or read from its folder."""
        number = next(self.stage_numbers)
        done = folder / f"{name}.json"
        if done.exists():
            return json.loads(done.read_text(encoding="utf-8"))
        make_folder(folder)
        start_s = time.monotonic()
        where = " ".join(folder.relative_to(self.out_dir).parts)
        say(f"[{number} of {self.n_stages}] {where}: {name}")
        result = {"result": run(folder), "wall_s": round(time.monotonic() - start_s, 2)}
        write_json(done, result)
        return json.loads(done.read_text(encoding="utf-8"))


def check_serves(corpus: Corpus) -> None:
    """Raises DataError, without reading audio, if labels or splits do not suffice for the study."""
    with naming_unusable(corpus):
        task_splits(task_named("ks"), corpus)
        training_split(corpus)


def run_study(
    corpus: str,
    encoders: Sequence[str],
    *,
    scale: str,
    out_dir: Path,
    seed: int,
    resplit: bool = False,
) -> str:
    """Runs or resumes a study, writes results.json and report.html, returns a short text.

    resplit: ignores the `split` of the corpus and draws new ones.  Before training, raises
    ConfigError if `out_dir` holds a study with other settings or is in use by another process, and
    DataError for a corpus without the labels that scoring needs.
    """
    if not encoders:
        raise ConfigError("--encoders without a name; give at least one preset")
    for name in encoders:
        preset(name)
    encoders = distinct_models(encoders)
    n_stages = len(encoders) * (1 + len(PLANS) * len(STAGES_OF_PLAN))
    opened = open_corpus(corpus, resplit=resplit)
    say_ignored(opened)
    check_serves(opened)
    study = Study(corpus, opened, out_dir, scale_named(scale), seed, n_stages, resplit)
    with only_process_in(out_dir):
        settings = {
            "earbit": earbit.__version__,
            "corpus": corpus,
            "corpus_digest": opened.digest,
            "resplit": resplit,
            "encoders": list(encoders),
            "scale": scale,
            "scale_settings": to_dict(study.scale),
            "seed": seed,
        }
        _check_settings(out_dir / "study.json", settings)
        start_s = time.monotonic()
        rows = [row for encoder in encoders for row in _encoder_rows(study, encoder)]
        results = {
            "settings": settings,
            "scale": settings["scale_settings"],
            "machine": _machine(),
            "corpus": _corpus_figures(out_dir),
            "wall_s_of_this_run": round(time.monotonic() - start_s, 1),
            "rows": rows,
            "cost_by_length": macs_by_length({encoder: preset(encoder) for encoder in encoders}),
            "random_weights": {encoder: _score_untrained(study, encoder) for encoder in encoders},
        }
        write_json(out_dir / "results.json", results)
        write_report(results, out_dir / "report.html")
        return summary(results, out_dir)


def _encoder_rows(study: Study, encoder: str) -> list[dict[str, Any]]:
    """Makes a row per plan; the float model is trained first and teaches the others."""
    rows = []
    for plan in PLANS:
        folder = study.out_dir / encoder / plan
        training = study.stage(folder, "train", partial(_train, study, encoder, plan))
        rows.append(
            {"name": encoder, "plan": plan, "training": training}
            | _worth_and_cost(study, folder, encoder, plan)
        )
    return rows


def _score_untrained(study: Study, encoder: str) -> dict[str, Any]:
    """Score of features of random weights, the baseline of training."""
    folder = study.out_dir / encoder / UNTRAINED

    def score(into: Path) -> Any:
        model = random_model(preset(encoder), study.seed).eval()
        corpus, waveforms = study.corpus
        n_steps = study.scale.head_steps
        return score_on(
            model, corpus, waveforms, into / "superb-ks", n_steps=n_steps, seed=study.seed
        )

    result: dict[str, Any] = study.stage(folder, "ks", score)["result"]
    return result


def _train(study: Study, encoder: str, plan: str, folder: Path) -> dict[str, Any]:
    if plan == "fp32":
        recipe = study.scale.recipe(encoder, study.corpus_where, study.seed)
        return pretrain_on(replace(recipe, resplit=study.resplit), study.data, folder)
    teacher = load_model(study.out_dir / encoder / "fp32")
    config = replace(study.scale.quantize(plan, study.seed), resplit=study.resplit)
    return quantize_on(teacher, config, study.data, folder)


def _worth_and_cost(study: Study, folder: Path, encoder: str, plan: str) -> dict[str, Any]:
    """Cost, export, score and measured time of one trained model."""
    model = load_model(folder)
    program = folder / "program.safetensors"
    scale = study.scale

    def cost(_: Path) -> Any:
        n_samples = int(scale.seconds * SAMPLE_RATE_HZ)
        profile = profile_model(
            model.config, precisions_of(model), n_samples=n_samples, name=encoder, plan=plan
        )
        return to_json([profile])[0]

    def export(_: Path) -> Any:
        clip = study.longest_clip()
        return export_to(model, program, name=f"{encoder} {plan}", waveform=clip)

    def score(into: Path) -> Any:
        corpus, waveforms = study.corpus
        out_dir, n_steps = into / "superb-ks", scale.head_steps
        return score_on(
            model, corpus, waveforms, out_dir, n_steps=n_steps, seed=study.seed, program=program
        )

    def measure(_: Path) -> Any:
        return bench({plan: program}, seconds=scale.seconds, threads=1, engines=("torch",))

    stages = {"cost": cost, "export": export, "ks": score, "bench": measure}
    return {name: study.stage(folder, name, run)["result"] for name, run in stages.items()}


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Raises ConfigError if the folder holds a study with other settings."""
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(settings))
        changed = [key for key in now if before.get(key) != now[key]]
        if changed:
            raise ConfigError(
                f"{path.parent}: holds a study with another {', '.join(changed)} "
                f"({', '.join(str(before.get(key)) for key in changed)}); give another --out"
            )
    write_json(path, settings)


def _corpus_figures(out_dir: Path) -> dict[str, Any]:
    units = json.loads((out_dir / "units" / "units.json").read_text(encoding="utf-8"))
    quarantine = out_dir / "quarantine.jsonl"
    n_bad = len(quarantine.read_text(encoding="utf-8").splitlines()) if quarantine.exists() else 0
    return {"units": units, "n_quarantined": n_bad}


def _machine() -> dict[str, Any]:
    from earbit.runtime.doctor import examine

    found = examine()
    return {
        "cpu": found["cpu"],
        "isa": found["isa"],
        "threads_in_times": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "earbit": earbit.__version__,
    }


def summary(results: dict[str, Any], out_dir: Path) -> str:
    """The result table as plain text."""
    lines = [
        f"{'model':<24}{'plan':<8}{'MB':>8}{'GMAC':>8}{'GBOP':>9}"
        f"{'ms':>9}{'KS acc':>8}{'bits =':>12}"
    ]
    for row in results["rows"]:
        cost, bench = row["cost"], row["bench"]
        lines.append(
            f"{row['name']:<24}{row['plan']:<8}{row['export']['bytes'] / 1e6:>8.2f}"
            f"{cost['macs'] / 1e9:>8.2f}{cost['bops'] / 1e9:>9.1f}"
            f"{bench[0]['median_ms']:>9.1f}{row['ks']['value']:>8.3f}"
            f"{bits_equal(row['export']['agreement']):>12}"
        )
    untrained = ", ".join(
        f"{name} {score['value']:.3f}" for name, score in results["random_weights"].items()
    )
    lines.append(f"KS acc of random weights: {untrained}")
    lines.append(
        f"MB: program file; ms: measured, one thread, {results['scale']['seconds']:g} s of audio"
    )
    lines.append(", ".join(printable(str(out_dir / n)) for n in ("report.html", "results.json")))
    return "\n".join(lines)
