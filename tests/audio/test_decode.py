"""What is read from audio files, and what of damaged ones."""

import random

import numpy as np
import pytest
import soundfile
from audio_bytes import LOSSY, RATE_HZ, wav_bytes

from earbit.audio import streams
from earbit.audio.decode import audio_info, read_audio
from earbit.errors import DataError

LOSSLESS = [("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32")]


def sine(n_samples, rate_hz, frequency_hz=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)).astype("f4")


@pytest.mark.parametrize(("suffix", "subtype"), LOSSLESS)
def test_integer_samples_of_every_width_come_back(tmp_path, tone, suffix, subtype):
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, tone, RATE_HZ, subtype=subtype)
    step = 2 ** -{"PCM_U8": 7, "PCM_16": 15, "PCM_24": 23, "PCM_32": 23}[subtype]
    waveform = read_audio(path)
    assert waveform.dtype == np.float32
    assert waveform.shape == (RATE_HZ,)
    np.testing.assert_allclose(waveform, tone, atol=1.01 * step)


def test_a_wav_file_made_by_hand_is_read_sample_by_sample(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.array([0.0, 0.5, -0.5, 1.0])))
    np.testing.assert_array_equal(read_audio(path) * 32768, [0, 16383, -16383, 32767])


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_pitch_and_level_at_any_rate(tmp_path, rate_hz):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(rate_hz, rate_hz), rate_hz, subtype="FLOAT")
    waveform = read_audio(path)
    assert waveform.shape == (RATE_HZ,)
    inner = slice(800, -800)  # the filter rings where the sine is switched on and off
    np.testing.assert_allclose(waveform[inner], sine(RATE_HZ, RATE_HZ)[inner], atol=2e-3)


def test_what_16_khz_cannot_hold_is_filtered_out_not_folded_back(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(48_000, 48_000, 11_000), 48_000, subtype="FLOAT")
    assert np.abs(read_audio(path)[800:-800]).max() < 1e-3


@pytest.mark.parametrize("n_samples", [1, 2, 399, 400, 401, 7_919])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 7_919])
def test_the_header_tells_the_length_that_decoding_gives(tmp_path, n_samples, rate_hz):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(n_samples, rate_hz), rate_hz)
    info = audio_info(path)
    assert (info.rate_hz, info.n_channels) == (rate_hz, 1)
    assert abs(info.n_samples - n_samples * RATE_HZ / rate_hz) <= 0.5
    if info.n_samples:
        assert read_audio(path).size == info.n_samples


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize(
    ("n_samples", "rate_hz"), [(400, 16_000), (16_000, 16_000), (48_000, 48_000)]
)
def test_lossy_files_sound_alike_and_have_the_length_of_their_header(
    tmp_path, name, n_samples, rate_hz
):
    path = tmp_path / name
    tone = sine(n_samples, rate_hz)
    soundfile.write(path, tone, rate_hz, **LOSSY[name])
    waveform = read_audio(path)
    assert waveform.size == audio_info(path).n_samples == round(n_samples * RATE_HZ / rate_hz)
    if n_samples == RATE_HZ:
        assert np.corrcoef(waveform, tone)[0, 1] > 0.99


@pytest.mark.parametrize("n_channels", [2, 8])
def test_channels_are_averaged(tmp_path, tone, n_channels):
    path = tmp_path / "x.wav"
    gains = np.linspace(-0.5, 1, n_channels)
    soundfile.write(path, tone[:, None] * gains, RATE_HZ, subtype="FLOAT")
    assert audio_info(path).n_channels == n_channels
    np.testing.assert_allclose(read_audio(path), tone * gains.mean(), atol=1e-6)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", *LOSSY])
def test_reading_block_by_block_changes_nothing(tmp_path, monkeypatch, tone, name):
    path = tmp_path / name
    soundfile.write(path, tone, RATE_HZ, **LOSSY.get(name, {}))
    whole, _ = soundfile.read(path, dtype="float32")
    monkeypatch.setattr(streams, "BLOCK_SAMPLES", 3_000)
    # Two decodings of one mp3 may differ in the last bit.
    np.testing.assert_allclose(read_audio(path), whole, atol=2e-7 if name == "x.mp3" else 0, rtol=0)


def test_silence_clipping_offset_and_denormals_are_legal(tmp_path):
    for samples in ([0.0] * 400, [1.0, -1.0] * 200, [0.3] * 400, [1e-40] * 400, [1.7, -2.5] * 200):
        path = tmp_path / "x.wav"
        soundfile.write(path, np.array(samples, dtype=np.float32), RATE_HZ, subtype="FLOAT")
        np.testing.assert_array_equal(read_audio(path), np.array(samples, dtype=np.float32))


@pytest.mark.parametrize(("value", "channel"), [(np.nan, 0), (np.inf, 1), (-np.inf, 0)])
def test_samples_that_are_no_numbers_are_counted_and_the_first_is_named(
    tmp_path, monkeypatch, tone, value, channel
):
    monkeypatch.setattr(streams, "BLOCK_SAMPLES", 1_000)
    stereo = np.stack([tone, tone], axis=1)
    stereo[[4_000, 4_001, 9_000], channel] = value
    path = tmp_path / "x.wav"
    soundfile.write(path, stereo, RATE_HZ, subtype="FLOAT")
    with pytest.raises(DataError, match=r"3 samples are NaN or infinite.*sample 4000 \(0\.250 s\)"):
        read_audio(path)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_finite_samples_never_become_infinite(tmp_path, rate_hz):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full((1_000, 2), 3e38, np.float32), rate_hz, subtype="FLOAT")
    with pytest.raises(DataError, match="full scale is 1"):
        read_audio(path)


def test_a_wav_whose_header_leaves_its_length_open_gives_what_is_there(tmp_path, tone):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(tone, claimed_bytes=0xFFFFFFFF))
    assert read_audio(path).size == audio_info(path).n_samples == tone.size


@pytest.mark.parametrize("name", ["x.flac", *LOSSY])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_compressed_file_that_breaks_off_is_an_error(tmp_path, tone, name, share):
    path = tmp_path / name
    soundfile.write(path, tone, RATE_HZ, **LOSSY.get(name, {}))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"breaks off|cannot be decoded|no samples"):
        read_audio(path)


def test_a_header_that_claims_68_billion_samples_costs_no_memory(tmp_path, tone):
    path = tmp_path / "x.flac"
    soundfile.write(path, tone, RATE_HZ)
    content = bytearray(path.read_bytes())
    # STREAMINFO: the total number of samples is the low 36 bits of bytes 18 to 25.
    content[21] |= 0x0F
    content[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(DataError, match="x.flac"):
        read_audio(path)


def test_a_flac_of_unknown_length_is_an_error_that_says_so(tmp_path, tone):
    path = tmp_path / "x.flac"
    soundfile.write(path, tone, RATE_HZ)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(DataError, match="does not say how long"):
        read_audio(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["x.wav", "x.flac", *LOSSY])
def test_flipped_bits_give_finite_samples_or_a_data_error(tmp_path, tone, name):
    path = tmp_path / name
    soundfile.write(path, tone[:4_000], RATE_HZ, **LOSSY.get(name, {}))
    content = path.read_bytes()
    draw = random.Random(name)
    refusals = []
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 5)):
            # Headers, which hold sizes, get half of the hits.
            end = 80 if draw.random() < 0.5 else len(damaged)
            damaged[draw.randrange(end)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            waveform = read_audio(path)
        except DataError as error:
            refusals.append(str(error))
        else:
            assert np.isfinite(waveform).all()
            assert waveform.size == audio_info(path).n_samples
    assert refusals
    assert not [refusal for refusal in refusals if "\n" in refusal]


def test_an_mp3_called_wav_is_read_by_its_content(tmp_path, tone):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone, RATE_HZ, format="MP3")
    assert read_audio(path).size == audio_info(path).n_samples == tone.size


def test_names_with_any_letters_can_be_read(tmp_path, tone):
    path = tmp_path / "räksmörgås 音 '%s' -x.wav"
    soundfile.write(path, tone, RATE_HZ)
    assert read_audio(str(path)).size == tone.size
