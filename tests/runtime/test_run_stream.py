"""`earbit run --stream` and `--mic`: results while audio comes."""

import io
import json
import re
import subprocess
import sys
import types
import wave

import numpy as np
import pytest
import soundfile
from programs_with_heads import write_heads

from earbit import export_to, preset, random_model
from earbit.audio import live
from earbit.cli.main import main
from earbit.errors import ConfigError, DataError, UnsupportedError
from earbit.run_stream import as_text, changes, stream_events
from earbit.runtime import Session

AUDIO = np.random.default_rng(0).uniform(-0.5, 0.5, 12_000).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder)
    soundfile.write(folder / "a.wav", AUDIO, 16_000, subtype="FLOAT")
    return folder


def wav_bytes(samples, rate_hz, n_channels=1, width=2):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(n_channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def chunks_of(data, monkeypatch, most=1000):
    """Chunks of standard input that gives at most so many bytes at once."""
    pipe = io.BytesIO(data)
    read1 = pipe.read1
    pipe.read1 = lambda n: read1(min(n, most))
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=pipe))
    chunks = list(live.live_chunks("-"))
    return np.concatenate([samples for samples, _ in chunks]), chunks[0][1]


def test_a_file_gives_its_text_piece_by_piece(folder):
    program = folder / "sequence.safetensors"
    events = list(stream_events(program, folder / "a.wav"))
    assert len(events) > 3
    assert "".join(event["text"] for event in events) == Session(program).text(AUDIO)
    assert [event["seconds"] for event in events] == sorted(event["seconds"] for event in events)
    assert as_text(events[0]) == events[0]["text"]


def test_people_are_told_labels_when_they_change_and_programs_every_quarter_of_a_second(folder):
    looks = list(stream_events(folder / "classes.safetensors", folder / "a.wav", threshold=0.0))
    assert [event["seconds"] for event in looks] == [0.25, 0.5, 0.75, 0.75]  # and at the end
    events = list(changes(looks))
    labels = [event["label"] for event in events]
    assert len(labels) < len(looks)
    assert all(a != b for a, b in zip(labels, labels[1:], strict=False))
    assert set(labels) <= {"yes", "nö", "_"}
    assert as_text(events[0]).startswith(f"{events[0]['seconds']:8.2f} s  {labels[0]} (")
    rejected = list(
        stream_events(folder / "keywords.safetensors", folder / "a.wav", threshold=0.999999)
    )
    assert "(no keyword)" in "".join(map(as_text, rejected))


def test_the_command_prints_lines_of_json_where_no_terminal_is(folder, capsys):
    main(["run", str(folder / "sequence.safetensors"), "--stream", str(folder / "a.wav")])
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "".join(event["text"] for event in events) == Session(
        folder / "sequence.safetensors"
    ).text(AUDIO)


def test_every_look_is_a_line_of_json_and_a_terminal_shows_changes(folder, capsys, monkeypatch):
    command = ["run", str(folder / "classes.safetensors"), "--stream", str(folder / "a.wav")]
    main(command)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["seconds"] for line in lines] == [0.25, 0.5, 0.75, 0.75]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    main(command)
    shown = [line for line in capsys.readouterr().out.splitlines() if line]
    assert 0 < len(shown) < len(lines)
    main([*command, "--json", "-"])
    assert capsys.readouterr().out.splitlines() == lines


def test_numbers_that_are_not_finite_are_null_in_json(folder, capsys):
    command = ["run", str(folder / "not_finite.safetensors"), "--stream", str(folder / "a.wav")]
    main([*command, "--json", "-"])

    def refused(constant):
        raise AssertionError(constant)

    lines = capsys.readouterr().out.splitlines()
    events = [json.loads(line, parse_constant=refused) for line in lines]
    assert {event["probability"] for event in events} == {None}


@pytest.mark.parametrize("name", ["sequence", "keywords-w1a1"])
def test_loud_audio_is_said_once_with_its_name(folder, name, capsys):
    soundfile.write(folder / "loud.wav", 30_000 * np.tile(AUDIO, 2), 16_000, subtype="FLOAT")
    program = folder / f"{name}.safetensors" if name == "sequence" else name
    main(["run", str(program), "--stream", str(folder / "loud.wav")])
    said = [line for line in capsys.readouterr().err.splitlines() if "peak" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{folder / 'loud.wav'}: audio has a peak of ")


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_standard_input_may_be_wav_of_any_rate_and_channels(rate_hz, monkeypatch, capsys):
    samples = np.random.default_rng(0).integers(-9_000, 9_000, (5_000, 2)).astype("<i2")
    found, rate = chunks_of(wav_bytes(samples, rate_hz, 2), monkeypatch, most=999)
    assert rate == rate_hz
    np.testing.assert_allclose(found, samples.mean(1) / 32768, atol=1e-7)
    assert f"wav, 2 channels at {rate_hz} Hz" in capsys.readouterr().err


def test_what_follows_the_samples_of_a_piped_wav_file_is_not_heard(monkeypatch):
    samples = np.arange(1, 5_001, dtype="<i2")
    data = wav_bytes(samples, 16_000)
    found, _ = chunks_of(data + b"LIST" + bytes([200, 0, 0, 0]) + bytes(range(200)), monkeypatch)
    np.testing.assert_array_equal(found, samples / np.float32(32768))
    for length in (0, 0xFFFFFFFF):  # of a writer that did not know it
        open_end = data[:40] + length.to_bytes(4, "little") + data[44:]
        found, _ = chunks_of(open_end, monkeypatch)
        np.testing.assert_array_equal(found, samples / np.float32(32768))


def test_chunks_of_standard_input_are_as_short_as_those_of_a_file(monkeypatch):
    pipe = io.BytesIO(wav_bytes(np.zeros(30_000, "<i2"), 8_000))
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=pipe))
    lengths = {len(samples) for samples, _ in live.live_chunks("-")}
    assert max(lengths) == live.CHUNK_S * 8_000


@pytest.mark.parametrize("n", [3, 5, 6, 7, 500])
def test_standard_input_without_a_header_is_raw_samples(n, monkeypatch, capsys):
    samples = np.arange(n).astype("<i2")
    found, rate = chunks_of(samples.tobytes() + b"x", monkeypatch, most=7)
    assert rate == 16_000
    np.testing.assert_array_equal(found, samples / np.float32(32768))
    err = capsys.readouterr().err
    assert "raw 16-bit samples" in err
    assert "1 byte is left out" in err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav_bytes(np.zeros(9, np.uint8), 8_000, width=1), "8 bits"),
        (b"RIFF\0\0\0\0WAVEfmt ", "without samples"),
        (wav_bytes(np.zeros(9, "<i2"), 10), "of 10 Hz; allowed: 1000 to 768000"),
        (b"", "^-: standard input is empty; pipe a wav file or raw"),
        (b"fLaC" + bytes(40), "^-: flac; standard input takes .* decode it: ffmpeg -i FILE"),
        (b"OggS" + bytes(40), "-: Ogg; "),
        (b"ID3\4" + bytes(40), "-: mp3; "),
        (b"caff" + bytes(40), "-: CAF; "),
        (b"FORM" + bytes(40), "-: AIFF; "),
        (b"RF64" + bytes(40), "-: RF64; "),
        (b"RIFFabcdAVI " + bytes(40), "-: RIFF without WAVE; "),
        (b"\0\0\0\x20ftypM4A " + bytes(40), "-: MP4 or M4A; "),
    ],
)
def test_standard_input_of_another_kind_is_refused(data, message, monkeypatch):
    with pytest.raises(DataError, match=message):
        chunks_of(data, monkeypatch)


def test_a_wav_from_a_pipe_that_ends_before_its_header_promises_is_noticed(monkeypatch, capsys):
    data = wav_bytes(np.arange(5_000, dtype="<i2"), 16_000)
    chunks_of(data[:-2_001], monkeypatch)
    err = capsys.readouterr().err
    assert "1 byte is left out" in err
    assert "standard input ends 2001 bytes before the end that its header promises" in err
    chunks_of(data, monkeypatch)
    for length in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):  # of a writer that did not know it
        chunks_of(data[:40] + length.to_bytes(4, "little") + data[44:-2_000], monkeypatch)
    assert "promises" not in capsys.readouterr().err


def test_results_come_before_the_end_of_the_audio(folder):
    command = [
        sys.executable,
        "-m",
        "earbit",
        "run",
        folder / "sequence.safetensors",
        "--stream",
        "-",
    ]
    raw = (AUDIO * 32767).astype("<i2").tobytes()
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen([str(word) for word in command], **pipes) as process:
        process.stdin.write(raw)
        process.stdin.flush()
        assert "text" in json.loads(process.stdout.readline())  # the pipe is still open
        process.stdin.close()
        process.stdout.read()
        assert process.wait() == 0


class Microphone:
    """sounddevice with a microphone that plays the clip and then is unplugged."""

    class PortAudioError(Exception):
        pass

    def __init__(self, audio):
        self.audio = audio

    def query_devices(self, kind):
        return {"default_samplerate": 16_000.0}

    def InputStream(self, **settings):  # noqa: N802
        assert settings == {"samplerate": 16_000, "channels": 1, "dtype": "float32"}
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, n):
        if not len(self.audio):
            raise self.PortAudioError("unplugged")
        samples, self.audio = self.audio[:n, None], self.audio[n:]
        return samples, True


def test_the_microphone_is_streamed(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(AUDIO))
    events = []
    with pytest.raises(DataError, match="no microphone can be read .unplugged"):  # noqa: PT012
        for event in stream_events(folder / "sequence.safetensors", None):
            events.append(event)
    assert "".join(e["text"] for e in events) == Session(folder / "sequence.safetensors").text(
        AUDIO
    )
    err = capsys.readouterr().err
    assert "16000 Hz; Ctrl-C ends" in err
    assert err.count("was lost") == 1


def test_without_sounddevice_the_microphone_names_the_command_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(
        UnsupportedError, match="--mic needs sounddevice of the extra `mic`; install it with: .*pip"
    ):
        next(stream_events(folder / "sequence.safetensors", None))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.wav", "b.wav", "--stream"], "2 audio files; --stream takes one"),
        (["a.wav", "--mic"], "1 audio files; .*--mic none"),
        (["a.wav", "--stream", "--out", "x.npz"], "--out does not go with --stream"),
        (["a.wav", "--stream", "--json", "x.json"], "give --json -"),
    ],
)
def test_what_does_not_go_together_is_refused(folder, args, message, capsys):
    with pytest.raises(SystemExit):
        main(["run", str(folder / "sequence.safetensors"), *args])
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert re.search(message, err)


def test_heads_without_results_in_a_stream_and_programs_of_the_clip_are_refused(folder):
    with pytest.raises(ConfigError, match="kind 'segments' has no results"):
        next(stream_events(folder / "segments.safetensors", folder / "a.wav"))
    model = random_model(preset("hubert-fbank-tiny"), 0).eval()
    whole = folder / "whole.safetensors"
    export_to(model, whole, name="whole", waveform=AUDIO)
    with pytest.raises(UnsupportedError, match="cannot stream"):
        next(stream_events(whole, folder / "a.wav"))
