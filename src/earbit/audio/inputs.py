"""Utterances of a corpus on disk, one at a time: manifests, and folders of audio."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earbit.audio.corpus_names import MANIFEST_NAME, SYNTHETIC_CONTENTS, require_corpus
from earbit.audio.folder import audio_folder
from earbit.audio.lhotse_manifests import lhotse_files, read_lhotse
from earbit.audio.manifest import (
    Rejected,
    Utterance,
    read_folder,
    read_manifest,
)
from earbit.files import name_of
from earbit.frames import MIN_SAMPLES

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


@dataclass(frozen=True, slots=True)
class Input:
    """Name, root folder and items of a corpus."""

    name: str
    root: Path
    items: Iterable[Utterance | Rejected]
    """Read as they are requested, once."""
    ignored: tuple[str, ...] = ()
    """One line for the user about each kind of file that is not read, and each folder left out."""
    is_labelled: bool = True
    """False for a plain folder of audio, which has no labels."""

    def usable(self, rejected: list[Rejected]) -> Iterator[Utterance]:
        """Yields the usable utterances and appends everything else to `rejected`."""
        for item in self.items:
            if isinstance(item, Rejected):
                rejected.append(item)
            elif item.n_samples < MIN_SAMPLES:
                reason = (
                    f"{item.shown}: {item.n_samples} samples at 16 kHz, one frame needs "
                    f"{MIN_SAMPLES} (25 ms); leave it out"
                )
                rejected.append(Rejected(relative_name(item.shown, self.root), reason))
            else:
                yield item


def open_input(where: str | Path, *, resplit: bool = False) -> Input:
    """Opens 'synthetic', a folder with manifest.jsonl or Lhotse manifests, or one of audio files.

    A manifest of Lhotse cuts may be given by name.

    resplit: ignores the `split` of all utterances.  Raises DataError for a manifest that is not
    UTF-8 or has a path outside of its folder, partly when its items are read.
    """
    require_corpus(where)
    if where in SYNTHETIC_CONTENTS:
        from earbit.audio.synthetic.build import synthetic_corpus_folder
        from earbit.audio.synthetic.contents import SyntheticConfig

        root = synthetic_corpus_folder(SyntheticConfig(contents=SYNTHETIC_CONTENTS[where]))
        name = str(where)
    else:
        root = Path(where)
        name = name_of(root.resolve().name).removesuffix(".gz").removesuffix(".jsonl")
    ignored: tuple[str, ...] = ()
    items: Iterable[Utterance | Rejected]
    is_labelled = True
    if (root / MANIFEST_NAME).is_file():
        items = read_manifest(root)
    elif (files := lhotse_files(root)) is not None:
        root = files.root
        items = read_lhotse(files)
        ignored = tuple(files.notes())
    else:
        folder = audio_folder(root)
        items = read_folder(folder)
        ignored = (*folder.notes(), *_tables_in(root))
        is_labelled = False
    if resplit:
        items = map(_without_split, items)
    return Input(name, root, items, ignored, is_labelled)


def relative_name(path: Path, root: Path) -> str:
    """Name of a file for messages, relative to the folder of the corpus where it is in it."""
    return name_of(path.relative_to(root) if path.is_relative_to(root) else path)


def _without_split(item: Utterance | Rejected) -> Utterance | Rejected:
    if isinstance(item, Utterance):
        item.labels.pop("split", None)
    return item


def _tables_in(root: Path) -> list[str]:
    """Notes about ignored tables beside the audio; labels are read from manifest.jsonl only."""
    tables = sorted(p for p in root.iterdir() if p.suffix.lower() in TABLE_SUFFIXES and p.is_file())
    return [
        f"{table}: not read, labels come from {MANIFEST_NAME} (docs/corpus.md); make it with: "
        + manifest_command(root, table)
        for table in tables
    ]


def manifest_command(root: Path, table: Path) -> str:
    """The command that makes manifest.jsonl from a table of labels, quoted for a shell."""
    words = [
        "earbit",
        "prepare",
        "folder",
        "--root",
        root,
        "--labels",
        table,
        "--out",
        "looked-over",
    ]
    return shlex.join(map(str, words))
