"""Writes the features of a teacher for every frame of a corpus.

    python features.py CORPUS WEIGHTS OUT

WEIGHTS: the first layers of the encoder of Whisper base (teacher.py).  OUT/features.npy holds
float16 (frames, 512) of all clips, OUT/index.json their ids and first rows.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from teacher import WhisperLayers

from earbit.audio.clips import read_clip
from earbit.frames import n_frames_of
from earbit.progress import progress
from earbit.units.labelled import open_training_corpus

HOP, RATE_HZ = 320, 50
PIECE, CONTEXT = 23 * RATE_HZ, RATE_HZ  # frames: the teacher takes 30 s at most


def features_of(teacher: WhisperLayers, wave: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Features (n_frames, 512) of one clip (samples,), in pieces with a second of context."""
    parts = []
    for first in range(0, n_frames, PIECE):
        start = max(0, first - CONTEXT)
        end = (first + PIECE + CONTEXT) * HOP + 400
        found = teacher(wave[None, start * HOP : end])[0]
        n_here = min(PIECE, n_frames - first)
        parts.append(found[first - start : first - start + n_here])
    return torch.cat(parts)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    corpus = open_training_corpus(options.corpus)
    clips = [clip for table in (corpus.train, corpus.valid) for clip in table]
    n_frames = [n_frames_of(clip.n_samples) for clip in clips]
    starts = np.concatenate([[0], np.cumsum(n_frames)]).tolist()
    table = np.lib.format.open_memmap(
        options.out / "features.npy", "w+", np.float16, (starts[-1], 512)
    )
    teacher = WhisperLayers(options.weights)
    with progress("features", len(clips), 0) as advance:
        for clip, n, start in zip(clips, n_frames, starts, strict=False):
            if n:
                wave = torch.from_numpy(read_clip(clip))
                table[start : start + n] = features_of(teacher, wave, n).half().numpy()
            advance(1, clip.id)
    table.flush()
    index = {"ids": [clip.id for clip in clips], "starts": starts, "digest": corpus.digest}
    (options.out / "index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    main()
