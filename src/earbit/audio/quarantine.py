"""quarantine.jsonl: files and clips that cannot be used, one JSON object per line.

An entry has path and reason, and the id of a clip that was found unreadable after opening.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from earbit.audio.clips import ClipTable
from earbit.audio.place import shown
from earbit.errors import DataError
from earbit.files import make_folder, name_of, writable, write_text

QUARANTINE_NAME = "quarantine.jsonl"

Entry = Mapping[str, str]


def listed(folder: Path) -> list[Entry]:
    """Entries of the list in a folder, without a line that a full disk cut; none without a list.

    Raises DataError if the file cannot be read.
    """
    path = folder / QUARANTINE_NAME
    entries: list[Entry] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def clip_entries(clips: ClipTable, reason_of: Mapping[str, str]) -> list[Entry]:
    """Entries of clips, by the id of each."""
    entries: list[Entry] = []
    for name, reason in sorted(reason_of.items()):
        clip = clips.named(name)
        path = name_of(shown(clip.path, clip.place))
        entries.append({"id": name, "path": path, "reason": reason})
    return entries


def replace_entries(folder: Path, entries: Iterable[Entry], *, with_id: bool) -> None:
    """Replaces the entries that have an id, or those without one; the others stay.

    Files are found unusable when a corpus is opened, which every start of a run does anew, and
    clips later.  Removes an empty list.
    """
    path = make_folder(folder) / QUARANTINE_NAME
    before = listed(folder)
    kept = [entry for entry in before if ("id" in entry) != with_id]
    found = [*entries, *kept] if not with_id else [*kept, *entries]
    if not found:
        path.unlink(missing_ok=True)
    elif found != before:
        write_text(path, _lines(found))


def append_entries(folder: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Appends the entries that are not listed yet, and returns them.

    Several ranks may call it.  Raises DataError if the file cannot be written.
    """
    path = make_folder(folder) / QUARANTINE_NAME
    known = set(map(_key, listed(folder)))
    new = {_key(entry): entry for entry in entries if _key(entry) not in known}
    if not new:
        return []
    text = _lines(new.values()).encode("utf-8", "backslashreplace")
    try:
        # One write at the end of the file, so that lines of ranks do not mix.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if os.write(file, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free some space and start the same "
            "command again"
        ) from error
    return list(new.values())


def _key(entry: Entry) -> tuple[str | None, str | None]:
    """Identifies a clip by its corpus, if several are listed, and its id, or a file by its path."""
    return entry.get("corpus"), str(entry.get("id", entry.get("path")))


def _lines(entries: Iterable[Entry]) -> str:
    return "".join(json.dumps(writable(entry), ensure_ascii=False) + "\n" for entry in entries)
