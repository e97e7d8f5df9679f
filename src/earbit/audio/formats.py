"""Audio formats by suffix: readable ones, and ones that ffmpeg converts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class Format:
    """A readable audio format."""

    suffixes: tuple[str, ...]
    containers: tuple[str, ...]
    """Names of its containers in libsndfile."""
    codec: str = ""
    """Codec that libsndfile must have for it, if it does not follow from the container."""


READ_FORMATS = {
    "wav": Format((".wav", ".wave", ".bwf", ".rf64"), ("WAV", "WAVEX", "RF64")),
    "flac": Format((".flac",), ("FLAC",)),
    "ogg": Format((".ogg", ".oga"), ("OGG",), "VORBIS"),
    "opus": Format((".opus",), ("OGG",), "OPUS"),
    "mp3": Format((".mp3", ".mp2", ".mpga"), ("MP3",)),
    "aiff": Format((".aif", ".aiff", ".aifc"), ("AIFF",)),
    "au": Format((".au", ".snd"), ("AU",)),
    "caf": Format((".caf",), ("CAF",)),
    "w64": Format((".w64",), ("W64",)),
    "sphere": Format((".sph", ".nist"), ("NIST",)),
}
"""Formats that are read, by name; parts.py recognizes files of each that are cut short."""
READ_SUFFIXES = frozenset(suffix for one in READ_FORMATS.values() for suffix in one.suffixes)
"""Suffixes of files that are read in folders; files given by name may have any suffix."""
READ_CONTAINERS = frozenset(name for one in READ_FORMATS.values() for name in one.containers)
MPEG_SUFFIXES = frozenset(READ_FORMATS["mp3"].suffixes)
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
        ".ra", ".ram", ".rm", ".voc", ".8svx", ".avr", ".ircam", ".paf", ".pvf",
    }
)  # fmt: skip
"""Suffixes of files that ffmpeg decodes, and libsndfile does not decode reliably."""


def listed(names: Iterable[str]) -> str:
    """Names as a text: `wav, flac or ogg`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def conversion_command(path: PurePath) -> str:
    """The ffmpeg command that converts a file to a wav file beside it, quoted for a shell."""
    target = path.with_suffix(".flac" if path.suffix.lower() == ".wav" else ".wav")
    # A name that begins with - would be parsed as an option.
    names = (f"./{name}" if str(name).startswith("-") else str(name) for name in (path, target))
    return f"ffmpeg -i {' '.join(map(shlex.quote, names))}"


RAW_SUFFIXES = frozenset({".raw", ".pcm"})
"""Of samples without a header."""
RAW_SAMPLES = "16 bits, one channel and 16 kHz"
RAW_INPUT = "-f s16le -ar 16000 -ac 1 -i"
"""Options of ffmpeg for the input with such samples."""


def folder_conversion_command(folder: Path, suffix: str) -> str:
    """The command that converts all files with `suffix` below a folder, each to a wav beside it."""
    return (
        f"find -L {shlex.quote(str(folder))} -iname {shlex.quote('*' + suffix)} "
        """-exec sh -c 'ffmpeg -nostdin -i "$1" "${1%.*}.wav"' sh {} ';'"""
    )
