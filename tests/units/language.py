"""A language of three sounds, whose alignment is known exactly, and its units."""

import tempfile
from pathlib import Path

import numpy as np

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.units.discover import KMEANS, LABELS, REPORT, UnitConfig, discover_units
from earbit.units.kmeans import KMeans
from earbit.units.labels import UnitLabels
from earbit.units.sources import FeatureSource, mfcc_source

SOUND_SAMPLES = 4_000
TMP = tempfile.TemporaryDirectory()
TONES_HZ = {"low": (200, 400), "mid": (900, 1_800), "high": (3_000, 5_000)}


def clip(sounds, seed):
    """Sounds of a quarter of a second each, over a little noise; and their alignment."""
    t_s = np.arange(SOUND_SAMPLES) / 16_000
    parts = [sum(np.sin(2 * np.pi * f * t_s) for f in TONES_HZ[sound]) for sound in sounds]
    noise = np.random.default_rng(seed).standard_normal(SOUND_SAMPLES * len(sounds))
    alignment = [(sound, 0.25 * i, 0.25) for i, sound in enumerate(sounds)]
    return (0.2 * np.concatenate(parts) + 0.01 * noise).astype(np.float32), alignment


SPOKEN = {
    "a": ["low", "mid", "high", "low"],
    "b": ["high", "high", "mid", "low"],
    "c": ["mid", "low", "high", "mid"],
    "d": ["high", "low", "mid"],
}
CLIPS = {name: clip(sounds, seed) for seed, (name, sounds) in enumerate(SPOKEN.items())}
WAVEFORMS = {name: waveform for name, (waveform, _) in CLIPS.items()}
ALIGNMENTS = {name: alignment for name, (_, alignment) in CLIPS.items()}


def table(waveforms):
    return ClipTable(Clip(name, Path(name), w.size) for name, w in waveforms.items())


def discovered(waveforms=WAVEFORMS, fit_ids=None, source=None, alignments=(), read=None, **options):
    """Model, labels and report of a corpus in memory."""
    train = {n: w for n, w in waveforms.items() if fit_ids is None or n in fit_ids}
    others = {n: w for n, w in waveforms.items() if n not in train}
    settings = {"n_units": 3, "seed": 0, **options}
    out = Path(tempfile.mkdtemp(dir=TMP.name))
    report = discover_units(
        table(train),
        table(others),
        source or mfcc_source(),
        UnitConfig(**settings),
        out,
        corpus_digest="c0ffee",
        read=read or reading_from(waveforms),
        alignments=dict(alignments).items(),
    )
    assert {path.name for path in out.iterdir()} >= {LABELS, KMEANS, REPORT}
    assert not (out / ".parts").exists()
    return KMeans.load(out / KMEANS), UnitLabels.load(out / LABELS), report


def loudness(clip, audio):
    """Stands for a hidden layer: one number per 20 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(audio(), 400)[::320]
    return np.log(np.square(windows).mean(axis=1, keepdims=True)).astype(np.float32)


def hidden(**changes):
    fields = {"name": "hidden", "layer": 2, "rate_hz": 50, "compute": loudness, **changes}
    return FeatureSource(model_digest="m0de1", in_workers=False, **fields)
