"""Builds the synthetic corpus in the user's cache: FLAC files and a manifest.

`python -m earbit.audio.synthetic.build FOLDER JSON` builds it in a separate process, because the
state of the speech engine is global.  The folder is renamed to its final name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from earbit.audio.decode import resample
from earbit.audio.manifest import MANIFEST_NAME
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.synthetic.espeak import Espeak, Prosody
from earbit.audio.synthetic.grammar import KEYWORDS, OTHER_WORDS, UNKNOWN, random_sentence
from earbit.errors import DataError, UnsupportedError
from earbit.progress import Advance, progress, say

VERSION = 2
"""Version of the generator, raised whenever equal seeds give different audio."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of espeak-ng with pitch, rate, level and room."""

    name: str
    voice: str
    gender: str
    pitch: int
    rate: int
    split: str


SPEAKERS = (
    Speaker("s01", "en-us", "m", 45, 160, "train"),
    Speaker("s02", "en-us+f2", "f", 60, 170, "train"),
    Speaker("s03", "en+m3", "m", 35, 150, "train"),
    Speaker("s04", "en+f4", "f", 55, 165, "train"),
    Speaker("s05", "en-gb-scotland+m1", "m", 50, 155, "train"),
    Speaker("s06", "en-gb-x-rp+f1", "f", 65, 160, "train"),
    Speaker("s07", "en-us+m4", "m", 40, 175, "train"),
    Speaker("s08", "en-us+f3", "f", 50, 150, "train"),
    Speaker("s09", "en-gb-x-gbclan+m2", "m", 55, 165, "train"),
    Speaker("s10", "en-029+f2", "f", 70, 160, "train"),
    Speaker("s11", "en-gb-x-gbcwmd+m5", "m", 45, 160, "valid"),
    Speaker("s12", "en-us+f5", "f", 60, 160, "valid"),
    Speaker("s13", "en-gb-x-rp+m7", "m", 38, 150, "valid"),
    Speaker("s14", "en+f1", "f", 58, 172, "test"),
    Speaker("s15", "en-us+m6", "m", 48, 158, "test"),
    Speaker("s16", "en-gb-scotland+f3", "f", 62, 163, "test"),
)

STYLES = {
    # emotion: (rate factor, pitch step, pitch range, volume)
    "neutral": (1.0, 0, 50, 90),
    "happy": (1.1, 12, 85, 100),
    "sad": (0.82, -10, 20, 70),
    "angry": (1.2, 6, 65, 120),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """Size of the corpus: 16 speakers x (sentences + keywords + other words)."""

    seed: int = 0
    sentences_per_speaker: int = 38
    clips_per_keyword: int = 5
    other_word_clips: int = 12

    @property
    def n_clips(self) -> int:
        """Number of clips of all speakers."""
        n_keywords = self.clips_per_keyword * len(KEYWORDS)
        return len(SPEAKERS) * (self.sentences_per_speaker + n_keywords + self.other_word_clips)


def synthetic_corpus_folder(config: SyntheticConfig | None = None) -> Path:
    """The folder of the corpus, built first if it is not cached (about 20 s).

    The cache is $EARBIT_CACHE, else $XDG_CACHE_HOME/earbit, else ~/.cache/earbit.  Safe
    against interruption and concurrent runs.  Raises UnsupportedError without espeak-ng, and
    DataError if the cache cannot be written.
    """
    config = config or SyntheticConfig()
    text = json.dumps(asdict(config), sort_keys=True)
    key = hashlib.sha256(f"{VERSION} {text}".encode()).hexdigest()[:12]
    final = cache_folder() / f"synthetic-{VERSION}-{config.seed}-{key}"
    if (final / MANIFEST_NAME).is_file():
        return final
    temporary = final.with_name(f".{final.name}.{platform.node()}.{os.getpid()}")
    say(f"making the synthetic corpus, once: {final}")
    try:
        _remove_left_behind(final.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        with progress("synthetic speech", config.n_clips) as advance:
            _build_in_child(temporary, text, advance)
        if not final.exists():
            temporary.rename(final)
    except OSError as error:
        if not (final / MANIFEST_NAME).is_file():  # otherwise another process was faster
            raise DataError(
                f"{final.parent}: the cache cannot be written ({error.strerror}); "
                "set EARBIT_CACHE to a folder that can"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _build_in_child(folder: Path, config_json: str, advance: Advance) -> None:
    command = [sys.executable, "-m", "earbit.audio.synthetic.build", str(folder), config_json]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
    ):
        assert child.stdout is not None
        for _ in child.stdout:
            advance()
        if child.wait():
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or ["no reason given"])[-1]
            raise UnsupportedError(f"the synthetic corpus could not be made: {reason}")


def _remove_left_behind(cache: Path) -> None:
    """Removes incomplete corpora of dead processes of this machine."""
    prefix = f".{platform.node()}."
    for folder in cache.glob(".synthetic-*"):
        _, found, process_id = folder.name.rpartition(prefix)
        if found and process_id.isdecimal() and not _is_alive(int(process_id)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # a process of another user, or not a process id: kept
    return True


def cache_folder() -> Path:
    """The folder for reproducible files."""
    if folder := os.environ.get("EARBIT_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "earbit"
    return Path.home() / ".cache" / "earbit"


def build(folder: Path, config: SyntheticConfig) -> None:
    """Synthesises the corpus into `folder`, with the manifest last.

    Prints a line for every clip, and stops if the reader of its output has exited.
    """
    engine = Espeak()
    lines = []
    for speaker in SPEAKERS:
        (folder / speaker.name).mkdir()
        random = Random(f"{config.seed} {speaker.name}")
        for number, (style, labels) in enumerate(_utterances(config, random)):
            name = f"{speaker.name}-{number:04d}"
            lines.append(_write(engine, folder, speaker, name, style, labels, random))
            print(name, flush=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def _utterances(config: SyntheticConfig, random: Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Utterances of one speaker as (style, labels)."""
    for i in range(config.sentences_per_speaker):
        sentence = random_sentence(random)
        labels = {"text": sentence.text, "intent": sentence.intent, "slots": sentence.slots}
        yield tuple(STYLES)[i % len(STYLES)], labels
    for _ in range(config.clips_per_keyword):
        for word in KEYWORDS:
            yield random.choice(tuple(STYLES)), {"text": word, "keyword": word}
    for _ in range(config.other_word_clips):
        labels = {"text": random.choice(OTHER_WORDS), "keyword": UNKNOWN}
        yield random.choice(tuple(STYLES)), labels


def _write(
    engine: Espeak,
    folder: Path,
    speaker: Speaker,
    name: str,
    style: str,
    labels: dict[str, Any],
    random: Random,
) -> dict[str, Any]:
    rate_factor, pitch_step, pitch_range, volume = STYLES[style]
    prosody = Prosody(
        rate_words_per_minute=round(speaker.rate * rate_factor * random.uniform(0.92, 1.08)),
        pitch=min(99, max(0, speaker.pitch + pitch_step + random.randint(-4, 4))),
        pitch_range=pitch_range,
        volume=volume,
    )
    spoken = engine.speak(labels["text"], speaker.voice, prosody)
    audio = resample(spoken.samples.astype(np.float32) / 32768, spoken.rate_hz)
    path = folder / speaker.name / f"{name}.flac"
    soundfile.write(path, _in_a_room(audio, random), SAMPLE_RATE_HZ, subtype="PCM_16")
    return {
        "id": name,
        "path": f"{speaker.name}/{name}.flac",
        "duration": round(len(audio) / SAMPLE_RATE_HZ, 4),
        "sample_rate": SAMPLE_RATE_HZ,
        "num_samples": len(audio),
        "bytes": path.stat().st_size,
        "speaker": speaker.name,
        "gender": speaker.gender,
        "lang": "en",
        "emotion": style,
        "split": speaker.split,
        **labels,
        "phones": " ".join(phone for phone, _, _ in spoken.phones),
        "phone_alignment": [[p, round(start_s, 4), d] for p, start_s, d in spoken.phones],
    }


def _in_a_room(audio: np.ndarray, random: Random) -> np.ndarray:
    """Scales speech and adds noise 20 to 35 dB below it, since clean synthesis is too easy."""
    noise = np.random.default_rng(random.getrandbits(32)).standard_normal(len(audio))
    level = float(np.sqrt(np.mean(np.square(audio)))) + 1e-6
    noisy = audio + noise * level * 10 ** (-random.uniform(20, 35) / 20)
    quieter = noisy * random.uniform(0.4, 0.9)
    return np.clip(quieter, -1, 1).astype(np.float32)


if __name__ == "__main__":
    build(Path(sys.argv[1]), SyntheticConfig(**json.loads(sys.argv[2])))
