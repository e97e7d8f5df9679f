"""Audio as an array of any layout, byte order and type: the same numbers give the same result.

Lengths and samples that are not finite are in test_trust.py.
"""

import numpy as np
import pytest
import torch
from test_session import op, write

from earbit.errors import DataError
from earbit.runtime import Session
from earbit.runtime.waveform import MAX_SAMPLES

N = 1600
# Multiples of 2^-10, so that every type of float holds them.
AUDIO = (np.random.default_rng(3).integers(-1024, 1025, N) / 1024).astype(np.float32)


def at_an_odd_address(audio):
    raw = np.zeros(audio.nbytes + 1, np.uint8)
    raw[1:] = audio.view(np.uint8)
    return raw[1:].view(np.float32)


def behind_strides(audio):
    wide = np.full((N, 3), np.nan, np.float32)
    wide[:, 1] = audio
    return wide[:, 1]


LAYOUTS = {
    "one channel of many": behind_strides,
    "backwards": lambda audio: np.ascontiguousarray(audio[::-1])[::-1],
    "every second": lambda audio: np.repeat(audio, 2)[::2],
    "read-only": lambda audio: np.frombuffer(audio.tobytes(), np.float32),
    "big-endian": lambda audio: audio.astype(">f4"),
    "big-endian of 64 bits": lambda audio: audio.astype(">f8"),
    "big-endian of 16 bits": lambda audio: audio.astype(">f2"),
    "long double": lambda audio: audio.astype(np.longdouble),
    "at an odd address": at_an_odd_address,
    "of PyTorch": torch.from_numpy,
    "list": lambda audio: audio.tolist(),
}


@pytest.fixture
def session(tmp_path):
    # What a relu may write over is the session's own copy.
    return Session(write(tmp_path / "p.safetensors", [op("relu", [0])], [1]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_numbers_in_any_layout_give_the_same_bits_and_stay_as_they_are(session, layout):
    audio = LAYOUTS[layout](AUDIO)
    assert np.array_equal(session.run(audio)[:, 0], np.maximum(AUDIO, 0))
    assert np.array_equal(np.asarray(audio), AUDIO)


def test_one_sample_again_and_again_is_audio(session):
    assert (session.run(np.broadcast_to(np.float32(0.25), N)) == 0.25).all()


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<i4", "u1", "S4", "M8[s]"])
def test_other_types_of_either_byte_order_are_refused_with_what_to_do(session, dtype):
    with pytest.raises(DataError, match=r"give floats in \[-1, 1\]"):
        session.run(np.zeros(N, dtype))


@pytest.mark.parametrize(
    ("audio", "advice"),
    [
        (AUDIO[None], r"waveform\.ravel\(\)"),
        (AUDIO[:, None], r"waveform\.ravel\(\)"),
        (AUDIO.reshape(2, -1), r"2 channels; give their mean: waveform\.mean\(axis=0\)"),
        (np.float32(1), r"give one channel, shape \(samples,\)"),
        ({}, r"give one channel, shape \(samples,\)"),
    ],
    ids=["row", "column", "two channels", "number", "dict"],
)
def test_anything_but_one_channel_is_refused_with_its_shape_and_what_to_do(session, audio, advice):
    with pytest.raises(DataError, match=rf"audio of shape .*; .*{advice}"):
        session.run(audio)


@pytest.mark.parametrize("n_samples", [MAX_SAMPLES + 1, 2**45])
def test_audio_that_is_too_long_is_refused_before_it_is_copied(session, n_samples):
    # One number, however long: only a copy would need memory.
    audio = np.broadcast_to(np.float64(0), n_samples)
    with pytest.raises(DataError, match=f"{n_samples} samples; allowed are 400.*[(]4 h[)]; cut it"):
        session.run(audio)


def test_audio_that_is_too_short_cannot_be_cut(session):
    with pytest.raises(DataError, match="399 samples; allowed are 400.*; pad it or leave it out$"):
        session.run(np.zeros(399))


def test_a_tensor_that_wants_a_gradient_is_a_data_error(session):
    with pytest.raises(DataError, match="audio is no array .*detach"):
        session.run(torch.zeros(N, requires_grad=True))


def test_only_the_samples_that_are_there_are_read(session):
    # Beside the view lies what is not finite.
    whole = np.full(3 * N, np.nan, np.float32)
    whole[N : 2 * N] = AUDIO
    assert np.array_equal(session.run(whole[N : 2 * N])[:, 0], np.maximum(AUDIO, 0))
