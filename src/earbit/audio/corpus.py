"""A corpus as Lhotse cuts: utterances, labels and unusable files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from lhotse import CutSet, MonoCut

from earbit.audio.clips import clip_of, path_of, read_clip
from earbit.audio.corpus_digest import CorpusDigest
from earbit.audio.cuts import cut_of
from earbit.audio.decode import readable_formats
from earbit.audio.inputs import Input, open_input, relative_name
from earbit.audio.manifest import Rejected, Utterance
from earbit.audio.quarantine import QUARANTINE_NAME, append_entries, replace_entries
from earbit.errors import DataError
from earbit.files import make_folder, name_of
from earbit.progress import progress, say

N_NAMED = 3
"""Maximum number of unusable files that are printed."""


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
    return _corpus(open_input(where, resplit=resplit))


def corpus_of_items(
    name: str,
    root: Path,
    items: Iterable[Utterance | Rejected],
    ignored: tuple[str, ...] = (),
) -> Corpus:
    """The corpus of utterances below `root`; raises DataError without usable files."""
    return _corpus(Input(name, root, items, ignored))


def _corpus(given: Input) -> Corpus:
    rejected: list[Rejected] = []
    digest = CorpusDigest()
    cuts = []
    for utterance in given.usable(rejected):
        digest.add(utterance)
        cuts.append(cut_of(utterance))
    if not cuts:
        raise nothing_usable(given, rejected)
    return Corpus(
        given.name,
        given.root,
        CutSet.from_cuts(cuts),
        tuple(rejected),
        digest.hexdigest(),
        given.ignored,
    )


def nothing_usable(given: Input, rejected: Sequence[Rejected]) -> DataError:
    """The error about a corpus without usable audio, with the reasons."""
    found = [_rejected_as_text(given.root, rejected)] if rejected else []
    why = "; ".join((*found, *given.ignored)) or f"no {readable_formats()} file"
    return DataError(f"{given.root}: no usable audio in it: {why}")


def _rejected_as_text(root: Path, rejected: Sequence[Rejected]) -> str:
    first = _with_path(root, rejected[0])
    return f"{len(rejected)} files or lines rejected, the first: {first}"


class Opened(Protocol):
    """An opened corpus: one in memory, or the tables of a training."""

    @property
    def root(self) -> Path:
        """Folder of the corpus."""

    @property
    def quarantine(self) -> tuple[Rejected, ...]:
        """Unusable files and lines."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Messages about ignored files, for the user."""


@contextlib.contextmanager
def naming_unusable(corpus: Opened) -> Iterator[None]:
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


def say_ignored(corpus: Opened) -> None:
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
    rejected = [
        Rejected(relative_name(path_of(cut), corpus.root), reason_of[cut.id]) for cut in lost
    ]
    lost_ids = json.dumps(sorted(cut.id for cut in lost))
    return dataclasses.replace(
        corpus,
        cuts=CutSet.from_cuts(cut for cut in corpus.cuts if cut.id not in reason_of),
        quarantine=(*corpus.quarantine, *rejected),
        digest=hashlib.sha256((corpus.digest + lost_ids).encode()).hexdigest(),
    )


def say_unusable(corpus: Opened, hint: str = "") -> None:
    """Prints the number of files in the quarantine of a corpus, if any, and the first few."""
    n = len(corpus.quarantine)
    if n:
        say(f"{'1 file' if n == 1 else f'{n} files'} cannot be used{hint}; the first:")
    for rejected in corpus.quarantine[:N_NAMED]:
        say(f"  {_with_path(corpus.root, rejected)}")


def write_quarantine(corpus: Opened, out_dir: Path, final: Path | None = None) -> None:
    """Lists unusable files in quarantine.jsonl, and prints their number and the first few.

    final: the folder that `out_dir` is renamed to, for the message.  Replaces files that an
    earlier start listed, which may have been repaired; clips that a training added stay.  Writes no
    file if all are usable.
    """
    replace_entries(out_dir, map(dataclasses.asdict, corpus.quarantine), with_id=False)
    say_unusable(corpus, f", see {(final or out_dir) / QUARANTINE_NAME}")


def add_to_quarantine(corpus: Opened, out_dir: Path) -> None:
    """Appends unusable files to quarantine.jsonl under the name of their corpus; prints some."""
    name = name_of(corpus.root)
    append_entries(out_dir, ({"corpus": name, **dataclasses.asdict(i)} for i in corpus.quarantine))
    say_unusable(corpus, f", see {out_dir / QUARANTINE_NAME}")


def _with_path(root: Path, rejected: Rejected) -> str:
    """The reason with the path in front, once."""
    reason = rejected.reason
    for path in (rejected.path, f"{name_of(root)}/{rejected.path}"):
        reason = reason.removeprefix(f"{path}: ")
    return f"{rejected.path}: {reason}"
