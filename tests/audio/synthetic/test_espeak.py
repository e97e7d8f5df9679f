"""The engine holds one state per process, so every claim runs in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earbit.audio.synthetic.speakers import SPEAKERS, many_speakers

espeakng_loader = pytest.importorskip("espeakng_loader")

SPEAK = """
import hashlib, json, sys
from earbit.audio.synthetic.espeak import Espeak, Prosody
engine = Espeak()
for text, voice, rate in json.loads(sys.argv[1]):
    spoken = engine.speak(text, voice, Prosody(rate, 50, 50, 90))
    digest = hashlib.sha256(spoken.samples.tobytes()).hexdigest()
    peak = int(abs(spoken.samples.astype(int)).max())
    print(json.dumps([len(spoken.samples), spoken.rate_hz, peak, digest, spoken.phones]))
"""


def speak(*requests):
    """(samples, rate_hz, peak, digest, phones) of every (text, voice, words per minute)."""
    command = [sys.executable, "-c", SPEAK, json.dumps(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_speech_has_sound_and_phones_in_their_order():
    ((n_samples, rate_hz, peak, _, phones),) = speak(("kitchen light", "en-us", 160))
    assert rate_hz == 22_050
    assert 0.5 < n_samples / rate_hz < 2
    assert 1_000 < peak < 32_768
    # The pronunciation of "kitchen light": K IH CH AH N L AY T.
    assert [phone for phone, _, _ in phones] == ["k", "I", "tS", "@", "n", "l", "aI", "t"]
    end_s = 0.0
    for _, start_s, duration_s in phones:
        assert start_s >= end_s - 1e-6
        assert duration_s > 0
        end_s = start_s + duration_s
    assert end_s <= n_samples / rate_hz + 1e-3


def test_voices_and_rates_are_heard():
    texts = [
        ("yes", "en-us", 160),
        ("yes", "en-us", 300),
        ("yes", "en-us+f2", 160),
        ("yes", "en-gb-scotland", 160),
    ]
    slow, fast, *others = speak(*texts)
    assert fast[0] < 0.8 * slow[0]
    assert len({slow[3], *(other[3] for other in others)}) == 3


def test_a_fresh_process_says_the_same_bytes_breathy_voices_included():
    requests = [("turn left", voice, 150) for voice in ("en+m3", "en-us+f2", "en-us+f5")]
    first = speak(*requests)
    time.sleep(1.1)  # noise seeded with the time would hide within one second
    assert speak(*requests) == first


@pytest.mark.parametrize("voice", ["en-gb", "no-such-voice"])
def test_a_voice_that_is_not_there_is_an_error_and_not_another_voice(voice):
    stderr = speak(("yes", "en-us", 160), ("yes", voice, 160))
    assert f"UnsupportedError: espeak-ng has no voice '{voice}'" in stderr


@pytest.mark.parametrize("speaker", [*SPEAKERS, *many_speakers()], ids=lambda s: s.name)
def test_the_variant_of_every_speaker_exists(speaker):
    # For a variant that does not exist, the engine reports success and uses the plain voice.
    _, _, variant = speaker.voice.partition("+")
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    assert not variant or (folder / variant).is_file()
