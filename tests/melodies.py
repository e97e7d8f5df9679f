"""Audio that is quick to make and quick to learn."""

import numpy as np
import soundfile

PITCHES_HZ = (300.0, 700.0, 1500.0, 3100.0)
NOTE_SAMPLES = 3200


def melody(seed: int, n_notes: int = 10) -> np.ndarray:
    """Notes of 0.2 s in a little noise: what a frame sounds like is plain from the frame."""
    random = np.random.default_rng(seed)
    pitches = random.choice(PITCHES_HZ, n_notes)
    t = np.arange(NOTE_SAMPLES) / 16_000
    wave = np.concatenate([0.2 * np.sin(2 * np.pi * hz * t) for hz in pitches])
    return (wave + 0.005 * random.standard_normal(wave.size)).astype(np.float32)


def write_melodies(folder, seeds) -> None:
    for i in seeds:
        soundfile.write(folder / f"m{i:02d}.wav", melody(i), 16_000)
