"""Atomic writes: a temporary file in the same folder, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, DataError

_CANNOT_FLUSH = {
    errno.EINVAL,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EPERM,
    errno.EACCES,
    errno.EBADF,
    errno.EISDIR,
}
"""Errors of file systems that cannot flush a file or a folder. The data are complete anyway."""
ESCAPED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
"""An undecodable byte of a file name, as `name_of` writes it."""
N_NAMED = 3
"""Maximum number of files that an error names."""
_OTHER_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Half a character that stands for no byte."""


def make_folder(path: str | Path) -> Path:
    """Creates an output folder and its parents; raises DataError if it is not writable."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".write-probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(
            f"{path}: cannot write there ({error.strerror}); give another output folder"
        ) from error
    return path


def refuse_other_files(folder: Path, own: Collection[str]) -> None:
    """Raises ConfigError if an output folder is a file, or has entries that are not named in `own`.

    Hidden files are ignored.
    """
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file; give a folder as --out")
    if not folder.is_dir():
        return
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    foreign = sorted(names - set(own))
    if foreign:
        more = f" and {len(foreign) - N_NAMED} more" if len(foreign) > N_NAMED else ""
        raise ConfigError(
            f"{folder}: holds other files ({', '.join(foreign[:N_NAMED])}{more}); give a new or an "
            "empty folder as --out"
        )


def require_place(path: Path) -> None:
    """Raises DataError if no file can be written at a path; leaves no file behind.

    Missing parent folders are allowed, because `make_folder` creates them later.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder; give the name of a file")
    new = _not_there(path.parent)
    make_folder(path.parent)
    for folder in new:
        with contextlib.suppress(OSError):  # another process has written to it
            folder.rmdir()


@contextlib.contextmanager
def none_left_empty(path: Path) -> Iterator[None]:
    """Context that removes new empty folders down to `path` if the work fails."""
    new = _not_there(path)
    try:
        yield
    except BaseException:
        for folder in new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


def _not_there(folder: Path) -> list[Path]:
    """The missing folders among a folder and its parents, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` on a temporary file next to `path`, then renames it to `path`.

    A pipe or a device such as /dev/null stays what it is and is given the content.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        try:
            with tempfile.TemporaryDirectory() as folder, path.open("wb") as special:
                made = Path(folder) / path.name
                write(made)
                special.write(made.read_bytes())
        except BrokenPipeError:  # its reader has closed it
            raise
        except _write_errors() as error:
            raise _not_written(path, error) from error
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        # safetensors creates a file that only its owner can read; earbit follows the umask.
        # File systems without permissions (FAT, CIFS, FUSE) refuse to change them.
        with contextlib.suppress(OSError):
            temporary.chmod(mode)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except _write_errors() as error:
        raise _not_written(path, error) from error
    finally:
        # Without a written file there is nothing to remove; the error above is reported.
        with contextlib.suppress(OSError):
            temporary.unlink()


def _not_written(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{path}: cannot be written ({reason}); give another place")


def _write_errors() -> tuple[type[Exception], ...]:
    """Errors of a missing folder or a full disk.  safetensors, where it is in use, has its own."""
    safetensors = sys.modules.get("safetensors")
    return (OSError,) if safetensors is None else (OSError, safetensors.SafetensorError)


@contextlib.contextmanager
def not_interrupted() -> Iterator[None]:
    """Delays Ctrl-C until a short write inside the block is complete."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    asked: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically; escapes characters that UTF-8 cannot encode."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    write_whole(path, write)


def flush(path: Path) -> None:
    """Flushes a written file, or the names in a folder, to disk where the file system can.

    Raises OSError if the disk fails (EIO, ENOSPC), but not if flushing is unsupported.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def name_of(path: str | Path) -> str:
    r"""A path as UTF-8 text, with undecodable bytes escaped as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_named(folder: Path, name: str) -> Path:
    r"""The path in `folder` with a name in the notation of `name_of`, in any locale.

    Where no file has this name, `\x80` to `\xff` are the bytes that they stand for.
    """
    path = folder / os.fsdecode(name.encode())
    if os.path.lexists(path):
        return path
    return folder / os.fsdecode(ESCAPED_BYTE.sub(_byte_of, name.encode()))


def _byte_of(escaped: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escaped[1].decode())


def writable(value: Any) -> Any:
    r"""A JSON value that strict readers take: bytes of file names as `\xff`, null for NaN.

    They reject the surrogates that Python has for undecodable bytes, and numbers that are not
    finite.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        text = _OTHER_SURROGATE.sub(lambda found: ascii(found[0])[1:-1], value)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {writable(key): writable(item) for key, item in value.items()}
    return [writable(item) for item in value] if isinstance(value, (list, tuple)) else value
