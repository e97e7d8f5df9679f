"""Files that are not audio, or not whole: one line that says what is wrong and what to do."""

import random

import numpy as np
import pytest
import soundfile
from audio_bytes import RATE_HZ, wav_bytes

from earbit.audio import joined
from earbit.audio.decode import audio_info, read_audio
from earbit.errors import DataError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "no such file"),
        ("empty.wav", b"", "cannot be decoded"),
        ("text.wav", b"RIFF is only a word here", "cannot be decoded"),
        ("header.wav", wav_bytes(np.zeros(0)), "no samples"),
        ("bare.raw", wav_bytes(np.zeros(400)), "raw samples"),
        (
            "bare.pcm",
            bytes(800),
            r"`ffmpeg -f s16le -ar 16000 -ac 1 -i \S+bare.pcm \S+bare.wav` if",
        ),
        ("n" * 5_000 + ".wav", None, "cannot be looked at"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_not_audio_is_one_line_that_names_the_file(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_audio(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_audio(tmp_path)
    with pytest.raises(DataError, match="is a folder"):
        audio_info(tmp_path)


def test_a_rate_of_a_few_hertz_is_a_damaged_header(tmp_path, tone):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone, 100)
    with pytest.raises(DataError, match="100 Hz, at least 1000 Hz"):
        read_audio(path)


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_a_wav_that_was_cut_short_is_refused(tmp_path, kind):
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.zeros(16_000), 16_000, format=kind)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20_000])
    with pytest.raises(DataError, match="breaks off 20000 bytes before the end"):
        read_audio(path)
    with pytest.raises(DataError, match="breaks off"):
        audio_info(path)
    path.write_bytes(whole)
    assert read_audio(path).size == 16_000


def mp3_bytes(tmp_path, tone):
    soundfile.write(tmp_path / "whole.mp3", tone, RATE_HZ, format="MP3")
    return (tmp_path / "whole.mp3").read_bytes()


def test_a_damaged_mp3_is_an_error_in_our_words(tmp_path, tone):
    whole = mp3_bytes(tmp_path, tone)
    path = tmp_path / "x.mp3"
    for content in (whole[: len(whole) // 2], b"hello " * 200, bytes(5000), b"ID3" + bytes(300)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"breaks off after|cannot be decoded \(no mp3 in it\)"):
            read_audio(path)
    path.write_bytes(b"ID3\x04\0\0\0\0\0\x7f" + bytes(127) + whole[300:])
    assert read_audio(path).size


@pytest.mark.parametrize("suffix", ["m4a", "aac", "wma", "webm"])
def test_a_format_that_is_not_read_is_named_with_what_is(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(random.Random(0).randbytes(2000))
    with pytest.raises(
        DataError,
        match=rf"{suffix} is not read.*`ffmpeg -i \S+x.{suffix} \S+x.wav`; give wav, flac",
    ):
        read_audio(path)


def test_a_libsndfile_without_mp3_is_named_and_mp3_is_not_offered(tmp_path, monkeypatch):
    formats = soundfile.available_formats()
    formats.pop("MP3")
    monkeypatch.setattr(soundfile, "available_formats", lambda: formats)
    path = tmp_path / "x.mp3"
    path.write_bytes(b"\xff\xfb" + bytes(300))
    with pytest.raises(
        DataError, match=r"libsndfile \S+ has no mp3.*give wav, flac, ogg, opus, aiff, "
    ):
        read_audio(path)


@pytest.mark.parametrize("kind", ["AVR", "IRCAM", "PAF", "PVF", "SVX", "VOC"])
@pytest.mark.parametrize("suffix", ["wav", "x"])
def test_a_container_that_is_not_read_is_refused_by_its_name(kind, suffix, tmp_path, tone):
    # libsndfile would read them, cut short or not.
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone, RATE_HZ, format=kind, subtype="PCM_16")
    for read in (read_audio, audio_info):
        with pytest.raises(DataError, match=rf": {kind} is not read; convert it with `ffmpeg -i "):
            read(path)


def test_every_container_that_libsndfile_writes_is_read_or_refused(tmp_path, tone):
    kinds = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "NIST"}
    for kind in soundfile.available_formats().keys() - {"RAW"}:
        path = tmp_path / "a.x"
        try:
            soundfile.write(path, tone, RATE_HZ, format=kind)
        except (soundfile.LibsndfileError, TypeError, ValueError):
            continue
        if kind in kinds:
            assert read_audio(path).size >= tone.size
        else:
            with pytest.raises(DataError):
                read_audio(path)


def test_a_program_given_as_audio_is_called_one(tmp_path):
    path = tmp_path / "p.safetensors"
    path.write_bytes(bytes(100))
    with pytest.raises(DataError, match="a program or model, not audio"):
        read_audio(path)


@pytest.mark.parametrize("path", [None, 3, b"RIFF", np.zeros(400)])
def test_what_is_no_path_is_a_data_error(path):
    for read in (read_audio, audio_info):
        with pytest.raises(DataError, match=f"of type {type(path).__name__}; give its path"):
            read(path)


def test_an_mp3_of_a_tag_alone_is_a_data_error(tmp_path):
    frame = bytearray(417)
    frame[:4] = b"\xff\xfb\x90\x64"
    frame[36:40] = b"Info"
    path = tmp_path / "tag.mp3"
    path.write_bytes(bytes(frame))
    for read in (read_audio, audio_info):
        with pytest.raises(DataError, match=r"tag\.mp3: no frame of sound in it"):
            read(path)


def test_a_file_that_cannot_be_read_to_its_end_is_a_data_error():
    with pytest.raises(DataError, match="/proc/self/mem: .*"):
        read_audio("/proc/self/mem")


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("AU", "au"), ("CAF", "caf"), ("W64", "w64"), ("NIST", "sph"), ("AIFF", "aiff")],
)
def test_cut_and_joined_files_of_every_container_are_refused(kind, suffix, tmp_path):
    whole = tmp_path / f"whole.{suffix}"
    wave = 0.1 * np.random.default_rng(0).standard_normal(8_000)
    soundfile.write(whole, wave, RATE_HZ, format=kind, subtype="PCM_16")
    assert read_audio(whole).size == 8_000
    data = whole.read_bytes()
    for name, content, message in (
        ("cut", data[:-1_000], "breaks off"),
        (
            "joined",
            data + data,
            f"several files joined into one, the second begins at byte {len(data)}",
        ),
    ):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_audio(path)


CONTAINERS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", None),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
}


def written(tmp_path, suffix, n_samples=8_000):
    kind, subtype = CONTAINERS[suffix]
    path = tmp_path / f"x.{suffix}"
    wave = 0.1 * np.random.default_rng(0).standard_normal(n_samples)
    soundfile.write(path, wave, RATE_HZ, format=kind, subtype=subtype)
    return path, path.read_bytes()


@pytest.mark.parametrize("second", CONTAINERS)
@pytest.mark.parametrize("first", CONTAINERS)
def test_joined_files_of_two_formats_are_refused(first, second, tmp_path):
    _, added = written(tmp_path, second)
    path, data = written(tmp_path, first)
    if (first, second) == ("flac", "mp3"):  # frames of mp3 are not searched for in those of flac
        added = b"ID3\x04\x00\x00\x00\x00\x00\x00" + added
    path.write_bytes(data + added)
    if first == second in ("ogg", "mp3"):
        assert read_audio(path).size > 12_000
    else:
        with pytest.raises(DataError, match=f"into one, the second begins at byte {len(data)};"):
            read_audio(path)


def test_a_wav_with_a_chunk_after_its_sound_is_read_alone_and_refused_with_another(tmp_path):
    path, data = written(tmp_path, "wav")
    chunk = b"LIST\x04\x00\x00\x00INFO"
    data = data[:4] + (len(data) + len(chunk) - 8).to_bytes(4, "little") + data[8:] + chunk
    path.write_bytes(data)
    assert read_audio(path).size == 8_000
    _, added = written(tmp_path, "flac")
    path.write_bytes(data + added)
    with pytest.raises(DataError, match=f"the second begins at byte {len(data)};"):
        read_audio(path)


def test_a_flac_that_holds_the_header_of_a_wav_in_its_metadata_is_read(tmp_path):
    # As `flac --keep-foreign-metadata` writes: an APPLICATION block (type 2) of `riff`.
    path, data = written(tmp_path, "flac")
    _, wav = written(tmp_path, "wav")
    block = b"riff" + wav[:44]
    path = tmp_path / "x.flac"
    path.write_bytes(data[:42] + b"\x02" + len(block).to_bytes(3, "big") + block + data[42:])
    assert read_audio(path).size == 8_000


def test_the_second_file_is_found_across_blocks_of_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(joined, "SEARCH_BYTES", 64)
    path, data = written(tmp_path, "flac", n_samples=800)
    _, added = written(tmp_path, "wav")
    for n_zeros in range(64):
        path.write_bytes(data + bytes(n_zeros) + added)
        with pytest.raises(DataError, match=f"the second begins at byte {len(data) + n_zeros};"):
            read_audio(path)
