"""Clips for calibration: long recordings give 15 s each, so memory does not grow with them."""

import numpy as np
import pytest
import soundfile

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.audio.corpus import open_corpus
from earbit.audio.decode import read_crop
from earbit.audio.place import WHOLE
from earbit.errors import DataError
from earbit.quantize.clips import audio_of
from earbit.quantize.stages import _calibration_clips
from earbit.units.labelled import TrainingData

N_LONG, N_MOST = 40 * 16_000, 15 * 16_000


def ramp(n_samples):
    """Audio in which every sample has a value of its own."""
    return (np.arange(n_samples) / 2**20).astype(np.float32)


def start_of(clip):
    """Where a clip was cut out of a ramp."""
    start = round(float(clip[0]) * 2**20)
    assert np.array_equal(clip, ramp(start + len(clip))[start:])
    return start


@pytest.fixture
def corpus(tmp_path):
    for name, n_samples in (("long", N_LONG), ("short", 8000)):
        soundfile.write(tmp_path / f"{name}.wav", ramp(n_samples), 16_000, subtype="FLOAT")
    return open_corpus(tmp_path)


def test_a_long_file_gives_15_seconds_at_a_place_drawn_by_the_seed(corpus):
    ids = {cut.id for cut in corpus.cuts}
    starts = set()
    for seed in (0, 0, 1, 2):
        short, long = sorted(audio_of(corpus, ids, seed), key=len)
        assert (len(short), len(long)) == (8000, N_MOST)
        assert start_of(short) == 0
        starts.add(start_of(long))
    assert len(starts) == 3


def test_stages_calibrate_on_15_seconds_of_a_long_clip(tmp_path):
    waveforms = {"long": ramp(N_LONG), "short": ramp(8000)}
    table = ClipTable(Clip(name, tmp_path, len(wave)) for name, wave in waveforms.items())
    data = TrainingData(table, table, reading_from(waveforms), "")
    short, long = sorted(_calibration_clips(data, 0), key=len)
    assert (len(short), len(long)) == (8000, N_MOST)
    assert 0 < start_of(long) < N_LONG - N_MOST


def test_a_clip_that_cannot_be_decoded_is_left_out_of_the_calibration_of_a_stage(tmp_path, capsys):
    waveforms = {name: ramp(8000) for name in "abc"}
    table = ClipTable(Clip(name, tmp_path, 8000) for name in waveforms)

    def read(clip, start=0, n_samples=None):
        if clip.id in damaged:
            raise DataError(f"{clip.id}: cannot be decoded")
        return reading_from(waveforms)(clip, start, n_samples)

    data = TrainingData(table, table, read, "")
    damaged = {"b"}
    assert [len(clip) for clip in _calibration_clips(data, 0)] == [8000] * 2
    assert "1 of 3 clips to calibrate on are left out: b: " in capsys.readouterr().err
    damaged = {"a", "b", "c"}
    with pytest.raises(DataError, match=r"none of 3 clips to calibrate on can be used: "):
        _calibration_clips(data, 0)


def test_a_part_of_a_file_of_another_rate_does_not_keep_the_whole_in_memory(tmp_path):
    path = tmp_path / "8k.wav"
    soundfile.write(path, ramp(16_000), 8000, subtype="FLOAT")
    part, n_samples = read_crop(path, WHOLE, 100, 500)
    assert (len(part), n_samples) == (500, 32_000)
    assert part.base is None
