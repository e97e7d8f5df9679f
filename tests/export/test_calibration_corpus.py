"""The corpus that calibrates a plan of `earbit export`: which clips are used is said."""

import numpy as np
import pytest
import soundfile

from earbit.errors import DataError
from earbit.export.prepared_model import prepared_model


def write_noise(path, n_samples: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, n_samples)
    soundfile.write(path, noise, 16000)


def test_files_that_cannot_calibrate_are_named(capsys, tmp_path):
    write_noise(tmp_path / "good.wav", 16000)
    write_noise(tmp_path / "short.wav", 100)
    (tmp_path / "empty.flac").touch()
    # A header that promises samples, and a body that cannot be decoded.
    write_noise(tmp_path / "cut.flac", 16000)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[:200] + bytes(len(whole) - 200))
    prepared = prepared_model("hubert-tiny", plan="w8a8", corpus=str(tmp_path))
    assert [len(clip) for clip in prepared.clips] == [16000]
    said = capsys.readouterr().err
    assert "2 files cannot be used; the first:\n" in said
    assert "  empty.flac: " in said
    assert "  short.wav: 100 samples at 16 kHz, one frame needs 400" in said
    assert f"1 of 2 clips to calibrate on are left out: {tmp_path}/cut.flac: " in said


def test_a_corpus_without_a_usable_clip_is_an_error_that_says_why(tmp_path):
    write_noise(tmp_path / "short.wav", 100)
    with pytest.raises(DataError, match=r"short\.wav"):
        prepared_model("hubert-tiny", plan="w8a8", corpus=str(tmp_path))
