"""Audio files below a folder, linked folders included, and files that cannot be read."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from earbit.audio.formats import CONVERTIBLE_SUFFIXES, READ_SUFFIXES, folder_conversion_command
from earbit.audio.texts import SortedTexts, Texts

PARTS = "\0"
"""Separates the parts of a path in a text."""


@dataclass(frozen=True, slots=True)
class AudioFolder:
    """Content of a folder, subfolders included."""

    root: Path
    files: Sequence[Path]
    """Files with a suffix of READ_SUFFIXES, sorted; each path begins with `root`.

    Links to missing files are included, so that they are reported when they are opened.
    """
    unread: Mapping[str, int]
    """Number of files by suffix, for suffixes of CONVERTIBLE_SUFFIXES."""
    skipped: tuple[str, ...]
    """One line for each skipped folder or file: loops, folders reached twice, pipes."""

    def notes(self) -> list[str]:
        """Lines for the user: skipped files, and how to convert them."""
        return [
            *self.skipped,
            *(
                f"{self.root}: {count} {suffix} file{'s' if count > 1 else ''} not read; convert "
                f"with: {folder_conversion_command(self.root, suffix)}"
                for suffix, count in sorted(self.unread.items())
            ),
        ]


def audio_folder(root: Path) -> AudioFolder:
    """Lists the audio files below `root`.

    Linked folders are followed after all others.  Each real folder is read once, by its first path,
    and every other link to it is named in `skipped`.
    """
    walk = _Walk()
    walk.add_folder(root)
    # Sorted by path, and after real folders: paths without links come first.
    while walk.links:
        walk.links.sort(reverse=True)
        walk.add_folder(walk.links.pop())
    unread = dict(sorted(walk.unread.items()))
    return AudioFolder(root, _Paths(Texts(walk.files)), unread, tuple(walk.skipped))


@dataclass(frozen=True)
class _Paths(Sequence[Path]):
    """Paths in little memory: folders may hold a million files."""

    texts: Texts
    """Texts of `_text_of`."""

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _path_of(self.texts[index])

    def __iter__(self) -> Iterator[Path]:
        return map(_path_of, self.texts)


def _text_of(path: Path) -> str:
    """A text whose order is that of the paths, which are compared part by part."""
    return PARTS.join(path.parts)


def _path_of(text: str) -> Path:
    return Path(*text.split(PARTS))


@dataclass
class _Walk:
    files: SortedTexts = field(default_factory=SortedTexts)
    """Texts of `_text_of`."""
    unread: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    """Pending links to folders."""
    first_path: dict[tuple[int, int], Path] = field(default_factory=dict)
    """Path of each real folder, by device and inode."""

    def add_folder(self, top: Path) -> None:
        """Adds a folder and its subfolders, and queues links to folders."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                status = folder.stat()
                place = (status.st_dev, status.st_ino)
                if place in self.first_path:
                    self._skip_link(folder, self.first_path[place])
                    continue
                self.first_path[place] = folder
                with os.scandir(folder) as entries:
                    items = list(entries)
            except OSError as error:
                self.skipped.append(f"{folder}: folder cannot be read ({error.strerror})")
                continue
            for entry in items:
                path = folder / entry.name
                if not _is_folder(entry):
                    self._add_file(path)
                elif entry.is_symlink():
                    self.links.append(path)
                else:
                    waiting.append(path)

    def _skip_link(self, link: Path, first: Path) -> None:
        parents = (link.parent, link.parent.resolve())
        is_loop = any(p.is_relative_to(f) for p in parents for f in (first, first.resolve()))
        why = "leads back to" if is_loop else "the same folder as"
        self.skipped.append(f"{link}: not followed, {why} {first}")

    def _add_file(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix not in READ_SUFFIXES | CONVERTIBLE_SUFFIXES:
            return
        try:
            mode = path.stat().st_mode
        except OSError:
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):
            # Opening a pipe would block until its other end is opened.
            self.skipped.append(f"{path}: a pipe or device, not read from folders; name it")
        elif suffix in READ_SUFFIXES:
            self.files.add(_text_of(path))
        else:
            self.unread[suffix] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself
