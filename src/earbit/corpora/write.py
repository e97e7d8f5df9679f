"""Writes the clips of a published corpus as manifest.jsonl, with a link to their audio."""

from __future__ import annotations

import functools
import json
import shutil
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.audio.decode import read_audio
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.corpora.published import TRIALS_NAME, LabelledClip, Placed, Trial
from earbit.errors import DataError
from earbit.files import make_folder, name_of, none_left_empty, writable, write_text
from earbit.progress import progress
from earbit.temporary import temporary_beside

LINK_NAME = "audio"
"""Link in OUT to the folder of the audio, which may be read-only."""
EXCERPTS_NAME = "excerpts"
"""Folder in OUT of clips that are parts of longer files."""
MIXTURES_NAME = "mixtures"
"""Folder in OUT of clips that are mixed from several files."""
FULL_SCALE = 32_768
MAX_PEAK = 0.99
"""Largest peak of a mixture, as a fraction of full scale."""


@contextmanager
def complete_or_absent(out_dir: Path) -> Iterator[Path]:
    """Yields a new folder beside `out_dir`, which is renamed to it, or removed if the work fails.

    out_dir: a folder that is empty or does not exist.  Removes such folders of killed processes of
    this machine.  Raises DataError where it cannot be written.
    """
    target = out_dir.resolve()
    with none_left_empty(target.parent):
        make_folder(target.parent)
        new = temporary_beside(target)
        make_folder(new)
        try:
            yield new
            new.rename(target)
        except OSError as error:
            raise DataError(
                f"{out_dir}: cannot be written ({error.strerror}); give another output folder"
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def write_part(
    folder: Path,
    audio_root: Path,
    clips: Sequence[LabelledClip],
    n_samples_of: Mapping[Path, int],
    trials: Sequence[Trial],
) -> None:
    """Writes a link to the audio, manifest.jsonl and, with trials, trials.txt to a new folder.

    n_samples_of: length at 16 kHz of usable files, by path below `audio_root`; clips of other files
    are left out, and so are their trials.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LINK_NAME).symlink_to(audio_root, target_is_directory=True)
    lines, path_of = [], {}
    with progress("writing clips", len(clips)) as advance:
        for clip in clips:
            advance(1)
            if not n_samples_of.keys() >= {*clip.files}:
                continue
            if clip.mixture:
                path = Path(MIXTURES_NAME) / f"{clip.id}.wav"
                n_samples = _write_mixture(folder / path, audio_root, clip.mixture)
            elif clip.excerpt is None:
                path = Path(LINK_NAME) / clip.path
                n_samples = n_samples_of[clip.path]
            else:
                path = Path(EXCERPTS_NAME) / f"{clip.id}.wav"
                n_samples = _write_excerpt(folder / path, audio_root / clip.path, clip.excerpt)
            path_of[clip.id] = name_of(path)
            record: dict[str, Any] = {
                "path": name_of(path),
                "id": clip.id,
                **{name: value for name, value in clip.labels.items() if value is not None},
                "num_samples": n_samples,
                "sample_rate": SAMPLE_RATE_HZ,
                "bytes": (folder / path).stat().st_size,
            }
            lines.append(json.dumps(writable(record), ensure_ascii=False) + "\n")
    write_text(folder / MANIFEST_NAME, "".join(lines))
    pairs = [(same, a, b) for same, a, b in trials if a in path_of and b in path_of]
    if pairs:
        written = [f"{int(same)} {path_of[a]} {path_of[b]}\n" for same, a, b in pairs]
        write_text(folder / TRIALS_NAME, "".join(written))


_decoded = functools.lru_cache(maxsize=2)(read_audio)
"""Excerpts of one file follow each other, and two speakers may take turns."""


def _write_excerpt(target: Path, source: Path, excerpt: tuple[int, int]) -> int:
    """Writes an excerpt as wav of 16 bits; returns its length."""
    start, n_samples = excerpt
    return _write_wav(target, _decoded(source)[start : start + n_samples])


def _write_mixture(target: Path, audio_root: Path, mixture: Sequence[Placed]) -> int:
    """Writes the sum of files as wav of 16 bits, scaled down to MAX_PEAK; returns its length."""
    parts = []
    for placed in mixture:
        start = round(placed.start_s * SAMPLE_RATE_HZ)
        parts.append((start, _decoded(audio_root / placed.path) * 10 ** (placed.gain_db / 20)))
    mixed = np.zeros(max(start + part.size for start, part in parts), np.float32)
    for start, part in parts:
        mixed[start : start + part.size] += part
    return _write_wav(target, mixed * (MAX_PEAK / max(MAX_PEAK, float(np.abs(mixed).max()))))


def _write_wav(target: Path, waveform: NDArray[np.float32]) -> int:
    samples = waveform * FULL_SCALE
    target.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(
            np.clip(np.rint(samples), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()
        )
    return int(samples.size)
