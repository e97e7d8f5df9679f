"""Writes a corpus as Lhotse Shar: `cuts.000000.jsonl.gz` and `recording.000000.tar`, and so on.

Files are copied byte by byte, so samples, labels and the digest are those of the corpus.
"""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import os
import signal
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from earbit.audio.child_process import end_with_parent
from earbit.audio.clips import Clip, read_clip
from earbit.audio.cuts import cut_of
from earbit.audio.decode import audio_info
from earbit.audio.manifest import Utterance
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.resampling import resampled_length
from earbit.errors import DataError
from earbit.files import flush, writable

MB = 1_000_000
FULL_SCALE = 32_768
"""Of samples with 16 bits."""


def write_shards(
    utterances: Iterable[Utterance],
    folder: Path,
    *,
    shard_mb: float,
    n_processes: int = 1,
) -> Iterator[int]:
    """Writes shards of about `shard_mb` MB of audio; yields the number of clips after each one.

    folder: a new folder.  Files are copied.  Parts of files are written as flac of 16 bits if that
    holds their samples, and as wav of floats if not.  Shards are written by `n_processes`
    processes.  Raises DataError for a file that cannot be read, and OSError where the shards cannot
    be written.
    """
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(
        n_processes, context, initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        running: set[Future[int]] = set()
        try:
            for number, clips in enumerate(_shards(utterances, shard_mb)):
                running.add(pool.submit(_write_shard, folder, number, clips))
                if len(running) > n_processes:
                    # Only as many as are needed: each has the labels of its clips.
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            for future in running:
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"{folder}: a process that writes shards ended unexpectedly; free memory and run "
                "it again"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(parent: int) -> None:
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _shards(utterances: Iterable[Utterance], shard_mb: float) -> Iterator[list[Utterance]]:
    """Utterances of each shard."""
    clips: list[Utterance] = []
    n_bytes = 0.0
    for utterance in utterances:
        clips.append(utterance)
        # A part of a file has at most the size of its samples as floats.
        n_bytes += min(utterance.n_bytes, 4 * utterance.n_samples)
        if n_bytes >= shard_mb * MB:
            yield clips
            clips, n_bytes = [], 0.0
    if clips:
        yield clips


def _write_shard(folder: Path, number: int, clips: list[Utterance]) -> int:
    archive = folder / f"recording.{number:06d}.tar"
    cuts = folder / f"cuts.{number:06d}.jsonl.gz"
    with (
        tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar,
        # Without a time, the same clips give the same bytes.
        gzip.GzipFile(cuts, "wb", mtime=0) as lines,
    ):
        for utterance in clips:
            content, suffix, recording = _recording(utterance)
            _add(tar, f"{utterance.id}.{suffix}", content)
            _add(tar, f"{utterance.id}.json", json.dumps(recording).encode())
            cut = _cut(utterance, recording)
            lines.write((json.dumps(writable(cut), ensure_ascii=False) + "\n").encode())
    flush(archive)
    flush(cuts)
    return len(clips)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _recording(utterance: Utterance) -> tuple[bytes, str, dict[str, Any]]:
    """Bytes of the audio of an utterance, their suffix, and the recording of Lhotse."""
    place = utterance.place
    if not place.first_frame and not place.n_frames and place.channel < 0:
        content = _bytes_of(utterance)
        suffix = utterance.shown.suffix[1:].lower()
        info = audio_info(utterance.path, place)
        if resampled_length(info.n_frames, info.rate_hz) == utterance.n_samples and suffix:
            of_info = (info.rate_hz, info.n_frames, info.n_channels)
            return content, suffix, _recording_of(utterance.id, *of_info)
    clip = Clip(utterance.id, utterance.path, utterance.n_samples, place)
    content, suffix = _encoded(read_clip(clip))
    return content, suffix, _recording_of(utterance.id, SAMPLE_RATE_HZ, utterance.n_samples, 1)


def _bytes_of(utterance: Utterance) -> bytes:
    try:
        with utterance.path.open("rb") as file:
            file.seek(utterance.place.first_byte)
            content = file.read(utterance.n_bytes)
    except OSError as error:
        raise DataError(f"{utterance.path}: cannot be read ({error.strerror})") from error
    if len(content) != utterance.n_bytes:
        raise DataError(f"{utterance.shown}: its size has changed; run it again")
    return content


def _encoded(waveform: np.ndarray) -> tuple[bytes, str]:
    """Audio at 16 kHz without loss."""
    file = io.BytesIO()
    scaled = waveform * np.float32(FULL_SCALE)
    is_of_16_bits = np.all(scaled == np.rint(scaled)) and np.all(np.abs(waveform) < 1)
    if is_of_16_bits:
        samples = scaled.astype(np.int16)
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
        return file.getvalue(), "flac"
    soundfile.write(file, waveform, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue(), "wav"


def _recording_of(name: str, rate_hz: int, n_frames: int, n_channels: int) -> dict[str, Any]:
    channels = list(range(n_channels))
    return {
        "id": name,
        "sources": [{"type": "shar", "channels": channels, "source": ""}],
        "sampling_rate": rate_hz,
        "num_samples": n_frames,
        "duration": n_frames / rate_hz,
        "channel_ids": channels,
    }


def _cut(utterance: Utterance, recording: dict[str, Any]) -> dict[str, Any]:
    """The cut of all channels of a recording, with all labels in `custom`."""
    made = cut_of(utterance).to_dict()
    channels = recording["channel_ids"]
    n_channels = len(channels)
    for supervision in made["supervisions"]:
        supervision["channel"] = channels if n_channels > 1 else 0
    return {
        "id": utterance.id,
        "start": 0,
        "duration": recording["duration"],
        "channel": channels if n_channels > 1 else 0,
        "supervisions": made["supervisions"],
        "recording": recording,
        "custom": utterance.labels,
        "type": "MultiCut" if n_channels > 1 else "MonoCut",
    }
