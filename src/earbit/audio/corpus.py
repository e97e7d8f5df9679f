"""A corpus as Lhotse cuts: utterances, labels and unusable files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lhotse import CutSet, MonoCut

from earbit.audio.clips import clip_of, read_clip
from earbit.audio.corpus_names import SYNTHETIC_CONTENTS, require_corpus
from earbit.audio.cuts import cut_of
from earbit.audio.decode import readable_formats
from earbit.audio.folder import audio_folder
from earbit.audio.manifest import (
    MANIFEST_NAME,
    Rejected,
    Utterance,
    read_folder,
    read_manifest,
)
from earbit.errors import DataError
from earbit.files import make_folder, name_of, writable, write_text
from earbit.frames import MIN_SAMPLES
from earbit.progress import progress, say

QUARANTINE_NAME = "quarantine.jsonl"
N_NAMED = 3
"""Maximum number of unusable files that are printed."""
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


@dataclass(frozen=True, slots=True)
class Corpus:
    """Utterances with their labels, without audio in memory."""

    name: str
    root: Path
    cuts: CutSet
    """One MonoCut per file: speaker and text in its supervision, all other labels in `custom`."""
    quarantine: tuple[Rejected, ...]
    digest: str
    """SHA-256 over ids, lengths, file sizes and labels; moving or reordering does not change it."""
    ignored: tuple[str, ...] = ()
    """One line for the user about each kind of file that is not read, and each folder left out."""


def open_corpus(where: str | Path, *, resplit: bool = False) -> Corpus:
    """Opens 'synthetic', a folder with manifest.jsonl, or any folder of audio files.

    resplit: ignores the `split` of all utterances, so that splits are drawn; the digest is then
    that of a corpus without splits.  Unusable files are moved to the quarantine.  Raises DataError
    for a corpus without usable files, and for a manifest that is not UTF-8 or has a path outside of
    its folder.
    """
    require_corpus(where)
    if where in SYNTHETIC_CONTENTS:
        from earbit.audio.synthetic.build import synthetic_corpus_folder
        from earbit.audio.synthetic.contents import SyntheticConfig

        root = synthetic_corpus_folder(SyntheticConfig(contents=SYNTHETIC_CONTENTS[where]))
        name = str(where)
    else:
        root = Path(where)
        name = name_of(root.resolve().name)
    ignored: tuple[str, ...] = ()
    items: Iterable[Utterance | Rejected]
    if (root / MANIFEST_NAME).is_file():
        items = read_manifest(root)
    else:
        folder = audio_folder(root)
        items = read_folder(folder)
        ignored = (*folder.notes(), *_tables_in(root))
    if resplit:
        items = map(_without_split, items)
    return corpus_of_items(name, root, items, ignored)


def _without_split(item: Utterance | Rejected) -> Utterance | Rejected:
    if isinstance(item, Utterance):
        item.labels.pop("split", None)
    return item


def corpus_of_items(
    name: str,
    root: Path,
    items: Iterable[Utterance | Rejected],
    ignored: tuple[str, ...] = (),
) -> Corpus:
    """The corpus of utterances below `root`; raises DataError without usable files."""
    utterances: list[Utterance] = []
    rejected: list[Rejected] = []
    for item in items:
        if isinstance(item, Rejected):
            rejected.append(item)
        elif item.n_samples < MIN_SAMPLES:
            reason = (
                f"{item.path}: {item.n_samples} samples at 16 kHz, one frame needs {MIN_SAMPLES} "
                "(25 ms); leave it out"
            )
            rejected.append(Rejected(name_of(item.path.relative_to(root)), reason))
        else:
            utterances.append(item)
    if not utterances:
        raise DataError(f"{root}: no usable audio in it: {_why_nothing(root, rejected, ignored)}")
    cuts = CutSet.from_cuts(cut_of(utterance) for utterance in utterances)
    return Corpus(name, root, cuts, tuple(rejected), _digest(utterances), ignored)


def _why_nothing(root: Path, rejected: Sequence[Rejected], ignored: tuple[str, ...]) -> str:
    found = [_rejected_as_text(root, rejected)] if rejected else []
    return "; ".join((*found, *ignored)) or f"no {readable_formats()} file"


def _rejected_as_text(root: Path, rejected: Sequence[Rejected]) -> str:
    first = _with_path(root, rejected[0])
    return f"{len(rejected)} files or lines rejected, the first: {first}"


@contextlib.contextmanager
def naming_unusable(corpus: Corpus) -> Iterator[None]:
    """Adds the number of unusable files and the first reason to the message of a DataError.

    Missing labels, splits or clips may be theirs.
    """
    try:
        yield
    except DataError as error:
        if not corpus.quarantine:
            raise
        rejected = _rejected_as_text(corpus.root, corpus.quarantine)
        raise DataError(f"{error} ({rejected})") from error


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


def say_ignored(corpus: Corpus) -> None:
    """Prints the files that are skipped in the folder of a corpus."""
    for line in corpus.ignored:
        say(line)


def decoded_corpus(
    corpus: Corpus, out_dir: Path, check: Callable[[Corpus], object] | None = None
) -> tuple[Corpus, Mapping[str, np.ndarray]]:
    """Decodes a corpus like `decode_all`, with a progress bar.

    Unusable files are listed in quarantine.jsonl in `out_dir`.  check: called with the decoded
    corpus before that file is written; its errors leave the file as it is.
    """
    make_folder(out_dir)
    with progress(f"decoding {corpus.name}", len(corpus.cuts)) as advance:
        waveforms, corpus = decode_all(corpus, progress=advance)
    if check is not None:
        with naming_unusable(corpus):
            check(corpus)
    write_quarantine(corpus, out_dir)
    return corpus, waveforms


def load_waveform(cut: MonoCut) -> np.ndarray:
    """Reads the audio of a cut like `read_clip`."""
    return read_clip(clip_of(cut))


def decode_all(
    corpus: Corpus, progress: Callable[[int], None] | None = None
) -> tuple[dict[str, np.ndarray], Corpus]:
    """Decodes everything into memory, 230 MB per hour of audio, in the order of the corpus.

    Files that are damaged or differ in length from the corpus are moved to the quarantine of the
    returned corpus, whose digest excludes them.  Raises DataError if no file remains.
    """
    waveforms: dict[str, np.ndarray] = {}
    decoded = for_each_waveform(corpus, waveforms.__setitem__, progress)
    return waveforms, decoded


def for_each_waveform(
    corpus: Corpus,
    use: Callable[[str, np.ndarray], None],
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Decodes file by file, in the order of the corpus, and passes id and audio to `use`.

    Returns the corpus and raises errors like `decode_all`.
    """
    reason_of: dict[str, str] = {}
    for cut in corpus.cuts:
        try:
            waveform = load_waveform(cut)
        except DataError as error:
            reason_of[cut.id] = str(error)
        else:
            use(cut.id, waveform)
        if progress is not None:
            progress(1)
    return without(corpus, reason_of)


def without(corpus: Corpus, reason_of: Mapping[str, str]) -> Corpus:
    """The corpus with some cuts moved to quarantine by id. Raises DataError if no cut remains."""
    if not reason_of:
        return corpus
    lost = [cut for cut in corpus.cuts if cut.id in reason_of]
    if len(lost) == len(corpus.cuts):
        raise DataError(
            f"corpus {corpus.name}: none of its {len(lost)} files can be used; "
            f"the first: {reason_of[lost[0].id]}"
        )
    rejected = [Rejected(_relative_path(corpus, cut), reason_of[cut.id]) for cut in lost]
    lost_ids = json.dumps(sorted(cut.id for cut in lost))
    return dataclasses.replace(
        corpus,
        cuts=CutSet.from_cuts(cut for cut in corpus.cuts if cut.id not in reason_of),
        quarantine=(*corpus.quarantine, *rejected),
        digest=hashlib.sha256((corpus.digest + lost_ids).encode()).hexdigest(),
    )


def write_quarantine(corpus: Corpus, out_dir: Path) -> None:
    """Writes unusable files, one JSON object per line, and prints their number and the first few.

    Writes no file if all are usable.
    """
    path = make_folder(out_dir) / QUARANTINE_NAME
    if corpus.quarantine:
        items = [writable(dataclasses.asdict(item)) for item in corpus.quarantine]
        write_text(path, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
        what = "1 file" if len(items) == 1 else f"{len(items)} files"
        say(f"{what} cannot be used, see {path}; the first:")
        for rejected in corpus.quarantine[:N_NAMED]:
            say(f"  {_with_path(corpus.root, rejected)}")
    else:
        # The list of an earlier run may name files that have been repaired.
        path.unlink(missing_ok=True)


def _with_path(root: Path, rejected: Rejected) -> str:
    """The reason with the path in front, once."""
    reason = rejected.reason
    for path in (rejected.path, f"{name_of(root)}/{rejected.path}"):
        reason = reason.removeprefix(f"{path}: ")
    return f"{rejected.path}: {reason}"


def _relative_path(corpus: Corpus, cut: MonoCut) -> str:
    return name_of(Path(cut.recording.sources[0].source).relative_to(corpus.root))


def _digest(utterances: list[Utterance]) -> str:
    lines = sorted(
        json.dumps([u.id, u.n_samples, u.n_bytes, u.labels], sort_keys=True) for u in utterances
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
