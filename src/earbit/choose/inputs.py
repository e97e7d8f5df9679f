"""The audio and the judge of a choice: clips to calibrate on, and clips to compare on."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.clips import clip_of, read_clip
from earbit.audio.corpus import Corpus, open_corpus, say_ignored, say_unusable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import Splits
from earbit.choose.judges import Judge, StateDistance, TaskLoss, require_loss
from earbit.errors import DataError
from earbit.export.head import head_of
from earbit.frames import MIN_SAMPLES
from earbit.heads.example import Example
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.progress import say
from earbit.quantize.calibrate import WITHOUT_TRAINING
from earbit.quantize.clips import audio_of, clips_among
from earbit.runtime.program_file import file_digest
from earbit.superb.head_file import head_path
from earbit.superb.names import corpora_of
from earbit.superb.tasks import task_named
from earbit.superb.verb import score_model
from earbit.superb.work import named_work

N_CLIPS, N_TASK_CLIPS = 16, 128
"""Clips to compare on by default, without and with a task."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Audio of a choice."""

    calibration: list[np.ndarray]
    """Clips (samples,) on which scales are calibrated."""
    judge: Judge
    key: dict[str, Any]
    """What the judge depends on, as JSON values."""
    n_compared: int
    """Clips that the judge compares on."""
    is_shared: bool = False
    """Whether the scales are calibrated on the compared clips."""


def inputs_of_states(
    teacher: AudioModel, where: str, *, n_clips: int | None, seconds: float, seed: int
) -> Inputs:
    """Clips of a corpus without labels, of which none both calibrates and compares, if possible.

    Reports if there are too few.
    """
    corpus = _opened(where)
    names = {cut.id for cut in corpus.cuts if cut.recording.num_samples >= MIN_SAMPLES}
    calibration = audio_of(corpus, names, seed)
    others = names - set(clips_among(names, seed))
    is_shared = not others
    if is_shared:
        say(
            f"{where}: all {len(names)} clips are used for calibration, and compared on too, so "
            "penalties are smaller than those of other clips; give a larger corpus"
        )
        others = names
    n_clips = n_clips or N_CLIPS
    found = _clips(corpus, sorted(others), n_clips, round(seconds * SAMPLE_RATE_HZ), seed)
    key = {"corpus": corpus.digest, "n_clips": n_clips, "seconds": seconds, "seed": seed}
    judge = StateDistance(teacher, list(found.values()))
    return Inputs(calibration, judge, key, len(found), is_shared)


def inputs_of_task(
    teacher: AudioModel,
    model_name: str,
    task_name: str,
    where: str,
    head: Path | None,
    folder: Path,
    *,
    n_clips: int | None,
    seed: int,
) -> Inputs:
    """Training clips of a task to calibrate on, and validation clips to compare the loss on.

    head: a folder of `earbit superb`; None trains a head in `folder`.  Raises ConfigError for a
    task without a loss and for a head of another model.
    """
    task = task_named(task_name)
    require_loss(task)
    place = corpora_of([task], [where])[task.name]
    if head is None:
        head = folder / f"float-{task.name}"
        say(f"{head}: the head of {task.name} of the float model")
        score_model(model_name, [task.name], [where], head, seed=seed)
    trained = head_of(teacher, head, name=model_name).trained
    corpus = _opened(place)
    work = named_work(task, corpus)
    assert isinstance(work.of_task, Splits)
    valid = {example.id: example for example in work.of_task.valid}
    n_clips = n_clips or N_TASK_CLIPS
    found = _clips(corpus, sorted(valid), n_clips, None, seed)
    examples: list[Example] = [valid[name] for name in found]
    judge = TaskLoss(teacher, trained, examples, list(found.values()))
    key = {
        "corpus": corpus.digest,
        "task": task.name,
        "head": file_digest(head_path(head)),
        "n_clips": n_clips,
        "seed": seed,
    }
    return Inputs(audio_of(corpus, work.train_ids, seed), judge, key, len(found))


def key_of(model: AudioModel, inputs: Inputs, version: str) -> dict[str, Any]:
    """What penalties depend on."""
    calibration = {
        "rules": dataclasses.asdict(WITHOUT_TRAINING),
        "samples": [clip.size for clip in inputs.calibration],
    }
    model_key = {"model": weights_digest(model), "earbit": version}
    return model_key | {"calibration": calibration} | inputs.key


def _opened(where: str) -> Corpus:
    corpus = open_corpus(where)
    say_ignored(corpus)
    say_unusable(corpus)
    return corpus


def _clips(
    corpus: Corpus, ids: Sequence[str], n_clips: int, n_samples: int | None, seed: int
) -> dict[str, np.ndarray]:
    """Reads the audio of `n_clips` random clips, and reports missing ones."""
    cut_of = {cut.id: cut for cut in corpus.cuts}
    order = random.Random(seed).sample(list(ids), len(ids))
    found: dict[str, np.ndarray] = {}
    for name in order:
        if len(found) == n_clips:
            break
        try:
            clip = read_clip(clip_of(cut_of[name]), 0, n_samples)
        except DataError as error:
            say(f"left out: {error}")
            continue
        if clip.size >= MIN_SAMPLES:
            found[name] = clip
    if not found:
        raise DataError(f"{corpus.name}: none of its {len(ids)} clips can be compared on")
    if len(found) < n_clips:
        say(f"{corpus.name}: {len(found)} clips to compare on, --clips {n_clips}")
    return found
