"""`earbit run`: features of audio files by a packed program, without PyTorch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from earbit.audio.decode import SAMPLE_RATE_HZ, read_audio
from earbit.errors import ConfigError
from earbit.files import make_folder, write_whole
from earbit.runtime.session import Session


def run_files(
    program: Path,
    paths: Sequence[Path],
    out: Path | None,
    *,
    layers: Literal["last", "all"] = "last",
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Runs every file; features go to `out` (.npz, one array per file), a summary is returned."""
    if not paths:
        raise ConfigError("no audio file given; earbit run FILE AUDIO...")
    if out is not None and out.suffix != ".npz":
        raise ConfigError(f"{out}: features are written as .npz")
    names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ConfigError("an audio file is given twice; its features would overwrite each other")
    session = Session(program, threads)
    arrays, summary = {}, []
    for name, path in zip(names, paths, strict=True):
        waveform = read_audio(path)
        start_s = time.perf_counter()
        arrays[name] = session.run(waveform, layers=layers)
        elapsed_s = time.perf_counter() - start_s
        duration_s = waveform.size / SAMPLE_RATE_HZ
        summary.append(
            {
                "audio": name,
                "seconds": round(duration_s, 3),
                "frames": arrays[name].shape[-2],
                "width": arrays[name].shape[-1],
                "ms": round(1e3 * elapsed_s, 2),
                "rtf": round(elapsed_s / duration_s, 5),
            }
        )
    if out is not None:
        make_folder(out.parent)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]

        write_whole(out, write)
    return summary
