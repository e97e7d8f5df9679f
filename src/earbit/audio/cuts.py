"""Utterances as Lhotse cuts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from earbit.audio.manifest import NAME_LABELS, Utterance
from earbit.audio.place import source_text
from earbit.audio.rate import SAMPLE_RATE_HZ


def cut_of(utterance: Utterance) -> MonoCut:
    """Makes a cut of an utterance: speaker and text in its supervision, all labels in `custom`."""
    duration_s = utterance.n_samples / SAMPLE_RATE_HZ
    labels = dict(utterance.labels)
    names = (labels.get(key) for key in NAME_LABELS)
    speaker = next((str(name) for name in names if name not in (None, "")), None)
    alignment = labels.pop("phone_alignment", None)
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=utterance.id,
        start=0.0,
        duration=duration_s,
        text=labels.get("text"),
        speaker=speaker,
        language=labels.get("lang"),
        gender=labels.get("gender"),
        alignment=None if alignment is None else {"phone": list(_alignment(alignment))},
    )
    recording = Recording(
        id=utterance.id,
        sources=[
            AudioSource(
                type="file",
                channels=[0],
                source=source_text(utterance.path, utterance.place),
            )
        ],
        sampling_rate=SAMPLE_RATE_HZ,
        num_samples=utterance.n_samples,
        duration=duration_s,
    )
    return MonoCut(
        id=utterance.id,
        start=0.0,
        duration=duration_s,
        channel=0,
        recording=recording,
        supervisions=[supervision],
        custom=labels,
    )


def _alignment(items: Any) -> Iterable[AlignmentItem]:
    for phone, start_s, duration_s in items:
        yield AlignmentItem(symbol=str(phone), start=float(start_s), duration=float(duration_s))
