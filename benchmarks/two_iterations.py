"""Units of both iterations, judged by phones, or by the units of a stronger model.

    python benchmarks/two_iterations.py --corpus DIR [--corpus DIR ...] --out DIR
        [--judge k500.npz] [--preset hubert-tiny] [--n-steps 400] [--n-units 100]

Runs `earbit pretrain --iterations 2`, makes units of the second model too, and compares the units
of MFCC, of a layer of the first model and of a layer of the second model on the same frames of
50 Hz.  The judge are known phones (`phone_alignment`), or --judge: an .npz of units for each clip,
named ID or CORPUS/ID.  Several corpora are joined by links into one folder.

pnmi: mutual information of judge and units over the entropy of the judge.  purity: share of frames
whose judge is the most frequent of their unit.  All units have the same number of clusters.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus_names import SYNTHETIC_CONTENTS
from earbit.config import override
from earbit.frames import FRAME_RATE_HZ, n_frames_of
from earbit.load import load_model
from earbit.pretrain.hidden import default_layer, hidden_source
from earbit.pretrain.optimiser import with_warmup
from earbit.pretrain.recipe import preset_recipe
from earbit.pretrain.verb import pretrain
from earbit.units.discover import FIRST_CENTRE_S, LABELS
from earbit.units.labelled import open_training_corpus, phone_alignments, training_data
from earbit.units.labels import UnitLabels
from earbit.units.quality import PhoneCounts, phones_at_rate, quality_of


def joined(corpora: list[str], out: Path) -> str:
    """The one corpus, or a folder with the manifests and the audio of all, with ids CORPUS/ID."""
    if len(corpora) == 1 and corpora[0] in SYNTHETIC_CONTENTS:
        return corpora[0]
    folder = out / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for where in map(Path, corpora):
        link = folder / where.name
        if not link.exists():
            link.symlink_to(where.absolute())
        for line in (where / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            name = f"{where.name}/{record['id']}"
            kept = {key: record[key] for key in ("num_samples", "sample_rate") if key in record}
            lines.append(json.dumps({"id": name, "path": f"{where.name}/{record['path']}", **kept}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


def judged(where: str, judge: Path | None, clips: Mapping[str, int]) -> Iterator[tuple[str, Any]]:
    """Id and the judge's label of every frame of 20 ms."""
    if judge is None:
        for name, alignment in phone_alignments(where):
            if name in clips:
                n_frames = n_frames_of(clips[name])
                yield name, phones_at_rate(alignment, n_frames, FRAME_RATE_HZ, FIRST_CENTRE_S)
        return
    arrays = np.load(judge, allow_pickle=False)
    corpus = Path(where).name
    for name in clips:
        key = name if name in arrays.files else f"{corpus}/{name}"
        yield name, [str(unit) for unit in arrays[key]]


def figures(labels: UnitLabels, where: str, judge: Path | None) -> dict[str, Any]:
    """Agreement of units with the judge."""
    corpus = open_training_corpus(where)
    clips = {clip.id: clip.n_samples for clip in (*corpus.train, *corpus.valid)}
    counts = PhoneCounts(labels.n_units)
    for name, truth in judged(where, judge, clips):
        n_frames = min(len(truth), n_frames_of(clips[name]))
        counts.add(labels.for_frames(name, n_frames), truth[:n_frames])
    quality = quality_of(counts.counts_UP.sum(axis=1), counts)
    header = dataclasses.asdict(labels.header)
    about = {key: header[key] for key in ("feature", "layer", "rate_hz", "n_units")}
    return about | {
        "pnmi": quality.pnmi,
        "purity": quality.phone_purity,
        "frames": quality.n_frames,
    }


def main() -> None:
    """Runs both iterations and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--preset", default="hubert-tiny")
    parser.add_argument("--n-steps", type=int, default=400)
    parser.add_argument("--n-units", type=int, default=100)
    parser.add_argument("--set", nargs="*", default=[])
    options = parser.parse_args()
    where = joined(options.corpus, options.out)
    recipe = preset_recipe(options.preset)
    settings = [
        f"corpus={where}",
        "iterations=2",
        f"n_units={options.n_units}",
        f"second.n_units={options.n_units}",
        f"train.optimiser.n_steps={options.n_steps}",
        *options.set,
    ]
    recipe = override(recipe, with_warmup(settings, recipe.train.optimiser))
    run = options.out / "run"
    result = pretrain(recipe, run)
    corpus = open_training_corpus(where)
    model = load_model(run / "2")
    layer = default_layer(model.config.encoder.n_layers)
    after = training_data(
        where,
        corpus,
        options.out / "units3",
        recipe.stage(2).unit_config,
        hidden_source(model, layer),
    )
    assert after.labels is not None
    rows = {
        "MFCC": UnitLabels.load(run / "1" / "units" / LABELS),
        "hidden, after iteration 1": UnitLabels.load(run / "2" / "units" / LABELS),
        "hidden, after iteration 2": after.labels,
    }
    table = {name: figures(labels, where, options.judge) for name, labels in rows.items()}
    report = {
        "corpus": [Path(name).name for name in options.corpus],
        "hours": (corpus.train.duration_s + corpus.valid.duration_s) / 3600,
        "judge": "phones" if options.judge is None else options.judge.name,
        "preset": options.preset,
        "n_steps": options.n_steps,
        "settings": options.set,
        "units": table,
        "iterations": {"first": result["first"], "second": {**result, "first": None}},
    }
    (options.out / "two_iterations.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"{'units':28} {'PNMI':>6} {'purity':>7} {'frames':>9}")
    for name, row in table.items():
        print(f"{name:28} {row['pnmi']:6.3f} {100 * row['purity']:6.1f}% {row['frames']:9,}")


if __name__ == "__main__":
    main()
