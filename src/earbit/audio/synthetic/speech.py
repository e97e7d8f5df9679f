"""One utterance of synthetic speech, and clips as files with their line of the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from earbit.audio.decode import resample
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.synthetic.espeak import Espeak, Prosody
from earbit.audio.synthetic.speakers import STYLES, Speaker


@dataclass(frozen=True, slots=True)
class Utterance:
    """Clean speech: float32 samples at 16 kHz, and phones as (phone, start_s, duration_s)."""

    audio: np.ndarray
    phones: list[tuple[str, float, float]]


def utterance(engine: Espeak, speaker: Speaker, text: str, style: str, random: Random) -> Utterance:
    """Speaks a text in the voice of a speaker, with small random changes of rate and pitch."""
    rate_factor, pitch_step, pitch_range, volume = STYLES[style]
    prosody = Prosody(
        rate_words_per_minute=round(speaker.rate * rate_factor * random.uniform(0.92, 1.08)),
        pitch=min(99, max(0, speaker.pitch + pitch_step + random.randint(-4, 4))),
        pitch_range=pitch_range,
        volume=volume,
    )
    spoken = engine.speak(text, speaker.voice, prosody)
    audio = resample(spoken.samples.astype(np.float32) / 32768, spoken.rate_hz)
    return Utterance(audio, spoken.phones)


def in_a_room(audio: np.ndarray, random: Random) -> np.ndarray:
    """Scales speech and adds noise 20 to 35 dB below it, since clean synthesis is too easy."""
    noise = np.random.default_rng(random.getrandbits(32)).standard_normal(len(audio))
    level = float(np.sqrt(np.mean(np.square(audio)))) + 1e-6
    noisy = audio + noise * level * 10 ** (-random.uniform(20, 35) / 20)
    quieter = noisy * random.uniform(0.4, 0.9)
    return np.clip(quieter, -1, 1).astype(np.float32)


def write_clip(
    folder: Path, group: str, name: str, audio: np.ndarray, labels: dict[str, Any]
) -> dict[str, Any]:
    """Writes FOLDER/GROUP/NAME.flac and returns its line of the manifest."""
    path = folder / group / f"{name}.flac"
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, audio, SAMPLE_RATE_HZ, subtype="PCM_16")
    return {
        "id": name,
        "path": f"{group}/{name}.flac",
        "duration": round(len(audio) / SAMPLE_RATE_HZ, 4),
        "sample_rate": SAMPLE_RATE_HZ,
        "num_samples": len(audio),
        "bytes": path.stat().st_size,
        **labels,
    }


def write_utterance(
    engine: Espeak,
    folder: Path,
    speaker: Speaker,
    name: str,
    style: str,
    labels: dict[str, Any],
    random: Random,
) -> dict[str, Any]:
    """Speaks `labels["text"]`, writes the clip and returns its line of the manifest."""
    spoken = utterance(engine, speaker, labels["text"], style, random)
    of_speaker = {
        "speaker": speaker.name,
        "gender": speaker.gender,
        "lang": "en",
        "emotion": style,
        "split": speaker.split,
    }
    of_phones = {
        "phones": " ".join(phone for phone, _, _ in spoken.phones),
        "phone_alignment": [[p, round(start_s, 4), d] for p, start_s, d in spoken.phones],
    }
    audio = in_a_room(spoken.audio, random)
    return write_clip(folder, speaker.name, name, audio, {**of_speaker, **labels, **of_phones})
