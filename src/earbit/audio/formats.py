"""Audio formats by suffix: readable ones, and ones that ffmpeg converts."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath

READ_SUFFIXES = frozenset(
    {
        ".wav", ".wave", ".bwf", ".rf64", ".w64",
        ".flac",
        ".ogg", ".oga", ".opus",
        ".mp3", ".mp2", ".mpga",
        ".aif", ".aiff", ".aifc",
        ".au", ".snd",
        ".caf",
        ".sph", ".nist",
    }
)  # fmt: skip
"""Suffixes of files that are read in folders; files given by name may have any suffix."""
MPEG_SUFFIXES = frozenset({".mp3", ".mp2", ".mpga"})
CONVERTIBLE_SUFFIXES = frozenset(
    {
        ".m4a", ".m4b", ".m4p", ".m4r", ".m4v", ".mp4", ".mov", ".qt", ".3gp", ".3gpp", ".3g2",
        ".aac", ".adts", ".alac", ".f4a",
        ".mka", ".mkv", ".webm", ".weba",
        ".wma", ".wmv", ".asf", ".avi", ".flv",
        ".mpg", ".mpeg", ".mts", ".m2ts", ".vob",
        ".ogv", ".ogm", ".ogx", ".spx",
        ".amr", ".awb", ".gsm",
        ".ac3", ".eac3", ".dts", ".mlp", ".thd",
        ".ape", ".wv", ".tta", ".tak", ".mpc", ".shn", ".dsf", ".dff",
        ".ra", ".ram", ".rm", ".voc",
    }
)  # fmt: skip
"""Suffixes of files that ffmpeg decodes, and libsndfile does not decode reliably."""


def looks_like_audio(path: PurePath) -> bool:
    """Whether the suffix belongs to an audio or video format, readable or not."""
    return path.suffix.lower() in READ_SUFFIXES | CONVERTIBLE_SUFFIXES


def conversion_command(path: PurePath) -> str:
    """The ffmpeg command that converts a file to a wav file beside it, quoted for a shell."""
    target = path.with_suffix(".flac" if path.suffix.lower() == ".wav" else ".wav")
    # A name that begins with - would be parsed as an option.
    names = (f"./{name}" if str(name).startswith("-") else str(name) for name in (path, target))
    return f"ffmpeg -i {' '.join(map(shlex.quote, names))}"


def folder_conversion_command(folder: Path, suffix: str) -> str:
    """The command that converts all files with `suffix` below a folder, each to a wav beside it."""
    return (
        f"find -L {shlex.quote(str(folder))} -iname {shlex.quote('*' + suffix)} "
        """-exec sh -c 'ffmpeg -nostdin -i "$1" "${1%.*}.wav"' sh {} ';'"""
    )
