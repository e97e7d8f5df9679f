"""`earbit units`: writes the units of a corpus to a folder that holds no other units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earbit.audio.corpus import QUARANTINE_NAME, Corpus
from earbit.errors import ConfigError
from earbit.files import refuse_other_files
from earbit.folder_lock import only_process_in
from earbit.progress import say
from earbit.units.labelled import LABELS, check_parameters, discover, training_corpus
from earbit.units.labels import UnitLabels

FILES = {LABELS, "kmeans.safetensors", "units.json", QUARANTINE_NAME}
"""Files that this command writes."""


def units(
    where: str, out_dir: Path, *, n_units: int, seed: int, resplit: bool = False
) -> dict[str, Any]:
    """Writes MFCC units of a corpus and returns units.json; existing equal units are kept.

    Raises ConfigError, and changes no file, if `out_dir` holds other files, or units of another
    corpus, number, seed or feature.
    """
    refuse_other_files(out_dir, FILES)
    labels = UnitLabels.load(out_dir / LABELS) if (out_dir / LABELS).exists() else None
    if labels is not None:
        check_parameters(out_dir, labels, n_units=n_units, seed=seed)

    def check(corpus: Corpus) -> None:
        if labels is not None and labels.corpus_digest != corpus.digest:
            raise ConfigError(
                f"{out_dir}: holds units of another corpus ({labels.corpus_digest[:12]}), this one "
                f"is {corpus.digest[:12]}, or --resplit differs; give another --out"
            )

    with only_process_in(out_dir):
        corpus, waveforms = training_corpus(where, out_dir, resplit=resplit, check=check)
        if labels is None:
            return discover(corpus, waveforms, out_dir, n_units=n_units, seed=seed)
    say(f"{out_dir}: holds these units already; they are kept")
    report: dict[str, Any] = json.loads((out_dir / "units.json").read_text(encoding="utf-8"))
    return report


def render_units(report: Mapping[str, Any], out_dir: Path) -> str:
    """Short text of units.json, for a terminal."""
    quality = report["quality"]
    purity = quality.get("phone_purity")
    return (
        f"{report['n_units']} units of {report['feature']} in {report['n_utterances']} utterances, "
        f"{quality['n_frames']} frames; entropy {quality['entropy_bits']:.2f} bits"
        + ("" if purity is None else f", phone purity {100 * purity:.1f} %")
        + f"\nthe units are in {out_dir}"
    )
