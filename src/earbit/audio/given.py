"""Audio files given by the user: files, pipes and folders of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from earbit.audio.folder import audio_folder
from earbit.progress import say


def files_given(paths: Sequence[Path]) -> list[Path]:
    """Lists each given file once, with all audio files of given folders.

    A folder without audio is listed itself.  Prints a line for every file that is given twice, and
    for skipped files of folders.
    """
    first: dict[Path, Path] = {}
    for path in (file for given in paths for file in _files_of(given)):
        # The user's name of a linked file is kept; only links of its folder are resolved.
        place = path.parent.resolve() / path.name
        if place in first:
            say(f"{path}: given twice; it runs once, as {first[place]}")
        first.setdefault(place, path)
    return list(first.values())


def _files_of(path: Path) -> list[Path]:
    if not os.path.isdir(path):
        return [path]
    folder = audio_folder(path)
    for note in folder.notes():
        say(note)
    return list(folder.files) or [path]
