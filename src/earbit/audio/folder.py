"""Audio files below a folder, linked folders included, and files that cannot be read."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from earbit.audio.formats import CONVERTIBLE_SUFFIXES, READ_SUFFIXES, folder_conversion_command


@dataclass(frozen=True, slots=True)
class AudioFolder:
    """Content of a folder, subfolders included."""

    root: Path
    files: tuple[Path, ...]
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
    return AudioFolder(
        root, tuple(sorted(walk.files)), dict(sorted(walk.unread.items())), tuple(walk.skipped)
    )


@dataclass
class _Walk:
    files: list[Path] = field(default_factory=list)
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
            self.files.append(path)
        else:
            self.unread[suffix] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself
