"""Lhotse manifests: cuts, recordings with supervisions, and Shar shards in tar archives."""

from __future__ import annotations

import gzip
import heapq
import itertools
import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from earbit.audio.corpus_names import CUTS_SUFFIXES
from earbit.audio.lhotse_cuts import utterance_of_cut
from earbit.audio.manifest import Rejected, Utterance, split_or_none
from earbit.audio.names_seen import NamesSeen
from earbit.audio.tar_index import Member, tar_members
from earbit.audio.texts import SortedTexts
from earbit.errors import DataError
from earbit.files import name_of

FIELDS = "\0"


@dataclass(frozen=True, slots=True)
class LhotseFiles:
    """Manifests in a folder."""

    root: Path
    cuts: tuple[Path, ...] = ()
    recordings: tuple[Path, ...] = ()
    supervisions: tuple[Path, ...] = ()

    def notes(self) -> list[str]:
        """Lines for the user: archives of other fields."""
        fields = sorted({path.name.partition(".")[0] for path in self.root.glob("*.*.tar")})
        others = [field for field in fields if field != "recording"]
        return [f"{self.root}: not read: {name}.*.tar" for name in others if self.cuts]


def lhotse_files(where: Path) -> LhotseFiles | None:
    """The manifests of Lhotse in a folder, or a manifest of cuts given by name; None without one.

    In a folder, a name with `cuts` is a manifest of cuts.  Without one, names with `recordings` and
    `supervisions` are manifests of these.
    """
    if where.is_file():
        return LhotseFiles(where.parent, (where,)) if where.name.endswith(CUTS_SUFFIXES) else None
    names = sorted(p for p in where.iterdir() if p.name.endswith(CUTS_SUFFIXES) and p.is_file())
    cuts, recordings, supervisions = (
        tuple(path for path in names if kind in path.name)
        for kind in ("cuts", "recordings", "supervisions")
    )
    if cuts:
        return LhotseFiles(where, cuts)
    return LhotseFiles(where, (), recordings, supervisions) if recordings else None


def read_lhotse(files: LhotseFiles) -> Iterator[Utterance | Rejected]:
    """Yields the utterances of all manifests.

    A `split` in the name of a manifest, as in `cuts_train.jsonl.gz`, is that of its cuts.
    """
    seen = NamesSeen()
    for path in files.cuts:
        members = _members(path)
        yield from _usable(files.root, _lines(path), members, seen, _split_in(path))
    for path, lines in _segments(files) if files.recordings else ():
        yield from _usable(files.root, lines, None, seen, _split_in(path))


def _usable(
    root: Path,
    lines: Iterable[tuple[str, Any]],
    members: Members | None,
    seen: NamesSeen,
    split: str | None,
) -> Iterator[Utterance | Rejected]:
    for where, cut in lines:
        if isinstance(cut, Rejected):
            yield cut
            continue
        try:
            member = None if members is None else members.of(cut)
            utterance = utterance_of_cut(cut, root, member)
            if utterance.id in seen:
                raise DataError(f"id {utterance.id!r} is taken by an earlier cut")
        except DataError as error:
            yield Rejected(where, str(error))
            continue
        seen.add(utterance.id)
        if split is not None:
            utterance.labels.setdefault("split", split)
        yield utterance


def _split_in(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", path.name.lower())
    return next(filter(None, map(split_or_none, words)), None)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and JSON value of each line, or a Rejected for a damaged line or end of the file."""
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):  # noqa: B007
                if not line.strip():
                    continue
                where = f"{path.name}:{number}"
                try:
                    yield where, json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield where, Rejected(where, f"not valid JSON: {error}")
    except (OSError, EOFError, zlib.error) as error:
        reason = f"cannot be read after line {number} ({error}); copy it again"
        yield path.name, Rejected(path.name, reason)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


@dataclass(frozen=True, slots=True)
class Members:
    """Audio in the archive beside a manifest of Shar."""

    archive: Path
    by_id: Mapping[str, Member]
    damage: str
    """Why the archive is not complete; empty for a complete one."""

    def of(self, cut: Any) -> Member:
        """The audio of a cut. Raises DataError if it is not in the archive."""
        name = cut.get("id") if isinstance(cut, Mapping) else None
        if isinstance(name, str) and name in self.by_id:
            return self.by_id[name]
        raise DataError(f"{str(name)[:80]}: not in {self.archive.name}{self.damage}")


def _members(cuts: Path) -> Members | None:
    """Audio of `cuts.NAME.jsonl.gz` in `recording.NAME.tar`; None for a manifest without archive.

    Reads the headers of the archive.
    """
    archive = archive_of(cuts)
    if archive is None:
        return None
    by_id: dict[str, Member] = {}
    try:
        for member in tar_members(archive):
            stem, _, suffix = member.name.rpartition(".")
            if suffix not in ("json", "nodata", "nometa"):
                by_id[stem] = member
    except (OSError, EOFError, tarfile.TarError) as error:
        return Members(archive, by_id, f", which cannot be read to its end ({error})")
    return Members(archive, by_id, "")


def archive_of(cuts: Path) -> Path | None:
    """The archive of recordings of a manifest in Shar; None if the folder has none."""
    name = re.fullmatch(r"cuts(.*)\.jsonl(\.gz)?", cuts.name)
    if name is None or not any(cuts.parent.glob("recording*.tar")):
        return None
    return cuts.with_name(f"recording{name[1]}.tar")


def _segments(files: LhotseFiles) -> Iterator[tuple[Path, Iterator[tuple[str, Any]]]]:
    """Cuts of recordings: one for each supervision, or whole ones without any supervision.

    Each manifest of recordings has the supervisions of the manifest with the same rest of the name.
    """
    by_rest = {_rest(path, "supervisions"): path for path in files.supervisions}
    for path in files.recordings:
        supervisions = by_rest.get(_rest(path, "recordings"))
        yield path, (_whole(path) if supervisions is None else _supervised(path, supervisions))


def _rest(path: Path, kind: str) -> str:
    name = path.name.removesuffix(".gz")
    return name.replace(kind, "", 1)


def _whole(path: Path) -> Iterator[tuple[str, Any]]:
    for where, recording in _lines(path):
        if isinstance(recording, Mapping):
            sources = recording.get("sources")
            channels = [
                c
                for source in (sources if isinstance(sources, list) else [])
                if isinstance(source, Mapping) and isinstance(source.get("channels"), list)
                for c in source["channels"]
            ]
            kind = "MultiCut" if len(channels) > 1 else "MonoCut"
            cut = {"id": recording.get("id"), "type": kind, "channel": channels}
            yield where, cut | {"recording": recording}
        else:
            yield where, recording


def _supervised(path: Path, supervisions: Path) -> Iterator[tuple[str, Any]]:
    """Joins both manifests by the id of the recording, in an order of their own."""
    sides = (("0", path, "id"), ("1", supervisions, "recording_id"))
    ordered = [SortedTexts(), SortedTexts()]
    for texts, (side, manifest, field) in zip(ordered, sides, strict=True):
        for where, value in _lines(manifest):
            key = value.get(field) if isinstance(value, Mapping) else None
            if isinstance(value, Rejected):
                yield where, value
            elif not isinstance(key, str) or FIELDS in key:
                yield where, Rejected(where, f"`{field}` is not a text")
            else:
                texts.add(FIELDS.join((key, side, where, json.dumps(value))))
    rows = (text.split(FIELDS, 3) for text in heapq.merge(*ordered))
    for key, group in itertools.groupby(rows, key=lambda row: row[0]):
        recording = None
        for _, side, where, text in group:
            value = json.loads(text)
            if side == "0":
                recording = value
            elif recording is None:
                yield where, Rejected(where, f"recording {key!r} is not in {name_of(path.name)}")
            else:
                yield where, _cut_of_supervision(recording, value)


def _cut_of_supervision(recording: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    channel = one.get("channel", 0)
    return {
        "id": one.get("id"),
        "start": one.get("start"),
        "duration": one.get("duration"),
        "channel": channel,
        "type": "MultiCut" if isinstance(channel, list) else "MonoCut",
        "recording": recording,
        "supervisions": [one],
        "custom": one.get("custom"),
    }
