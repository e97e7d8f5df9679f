"""One cut of a Lhotse manifest, a JSON object, as an utterance."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.audio.manifest import MAX_SAMPLES, NAME_LABELS, Utterance, check_id, checked_labels
from earbit.audio.place import Place
from earbit.audio.resampling import resampled_length
from earbit.audio.tar_index import Member
from earbit.errors import DataError

Json = Mapping[str, Any]


def utterance_of_cut(cut: Any, root: Path, member: Member | None = None) -> Utterance:
    """The utterance of a cut: its id, audio and labels.

    root: folder of the manifest, in which relative paths are looked up first, and then in the
    working directory, as in Lhotse.  member: the audio of a cut of Shar.  The text, speaker,
    language, gender and phones of its supervisions are labels, and so is each field of `custom`,
    which has precedence.  Raises DataError for everything that cannot be used.
    """
    if not isinstance(cut, Mapping):
        raise DataError("not a JSON object")
    name: Any = cut.get("id")
    check_id(name)
    kind = cut.get("type", "MonoCut")
    if kind not in ("MonoCut", "MultiCut"):
        raise DataError(f"{name}: a {str(kind)[:40]}; only MonoCut and MultiCut are read")
    recording = cut.get("recording")
    if not isinstance(recording, Mapping):
        raise DataError(f"{name}: a cut without a recording; leave it out")
    if recording.get("transforms"):
        raise DataError(
            f"{name}: its recording has transforms, which are not applied; save the audio with "
            "`lhotse.CutSet.save_audios`"
        )
    rate_hz = _whole(recording, "sampling_rate", name)
    n_in_file = _whole(recording, "num_samples", name)
    first = round(_seconds(cut, "start", name, 0.0) * rate_hz)
    n_frames = round(_seconds(cut, "duration", name, n_in_file / rate_hz) * rate_hz)
    # Times are rounded to nanoseconds or less.
    if n_frames < 1 or first + n_frames > n_in_file + 1:
        raise DataError(
            f"{name}: from {first} to {first + n_frames} of {n_in_file} samples; correct `start` "
            "and `duration`"
        )
    n_frames = min(n_frames, n_in_file - first)
    is_all = n_frames == n_in_file
    path, channel, n_bytes = _audio(cut, recording, root, member)
    place = Place(
        first_frame=first,
        n_frames=0 if is_all else n_frames,
        channel=channel,
        first_byte=0 if member is None else member.first_byte,
        n_bytes=0 if member is None else member.n_bytes,
        member="" if member is None else member.name,
    )
    labels = checked_labels(_labels(cut, name))
    return Utterance(name, path, resampled_length(n_frames, rate_hz), n_bytes, labels, place)


def _audio(cut: Json, recording: Json, root: Path, member: Member | None) -> tuple[Path, int, int]:
    """File, channel and size in bytes of the audio of a cut."""
    name = cut["id"]
    sources = recording.get("sources")
    if not isinstance(sources, list) or not all(_is_source(source) for source in sources):
        raise DataError(f"{name}: `sources` of its recording are not a list of audio sources")
    wanted = cut.get("channel", 0)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    are_known = all(type(channel) is int for channel in wanted)
    source = next((s for s in sources if are_known and set(wanted) & set(s["channels"])), None)
    if source is None:
        shown = ", ".join(map(str, wanted))[:40]
        raise DataError(f"{name}: channel {shown} is not in its recording")
    channels = source["channels"]
    if len(wanted) == 1:
        channel = -1 if len(channels) == 1 else channels.index(wanted[0])
    elif sorted(wanted) == sorted(channels):
        channel = -1
    else:
        raise DataError(
            f"{name}: channels {wanted} of {channels}; a MultiCut is read as the mean of all "
            "channels of a file; make a MonoCut of each channel that you need"
        )
    if member is not None:
        return member.archive, channel, member.n_bytes
    if source.get("type") != "file" or not isinstance(source.get("source"), str):
        raise DataError(
            f"{name}: its audio is a {str(source.get('type'))[:20]}; only files are read, and Shar "
            "from a folder with its archives"
        )
    given = Path(source["source"])
    path = root / given
    if not given.is_absolute() and not os.path.exists(path):
        path = Path.cwd() / given
    try:
        return path, channel, path.stat().st_size
    except (OSError, ValueError):
        raise DataError(f"{name}: {given}: no such file in {root}") from None


def _is_source(source: Any) -> bool:
    return (
        isinstance(source, Mapping)
        and isinstance(source.get("channels"), list)
        and all(type(channel) is int for channel in source["channels"])
    )


def _labels(cut: Json, name: str) -> dict[str, Any]:
    supervisions = cut.get("supervisions") or []
    custom = cut.get("custom") or {}
    if not isinstance(custom, Mapping) or not isinstance(supervisions, list):
        raise DataError(f"{name}: `supervisions` is not a list, or `custom` not an object")
    if not all(isinstance(one, Mapping) for one in supervisions):
        raise DataError(f"{name}: a supervision is not an object")
    texts = [one["text"] for one in supervisions if isinstance(one.get("text"), str)]
    found: dict[str, Any] = {"text": " ".join(texts)} if texts else {}
    fields = (("speaker", "speaker"), ("language", "lang"), ("gender", "gender"))
    for field, label in fields:
        values = {one[field] for one in supervisions if isinstance(one.get(field), str)}
        # Of several speakers, none is the speaker of the cut.
        if len(values) == 1:
            found[label] = values.pop()
    if any(custom.get(label) for label in NAME_LABELS):
        found.pop("speaker", None)
    start_s = _seconds(cut, "start", name, 0.0)
    if phones := [phone for one in supervisions for phone in _phones(one, start_s)]:
        found["phone_alignment"] = phones
    return {**found, **custom}


def _phones(supervision: Json, start_s: float) -> Sequence[list[Any]]:
    """Phone alignment relative to the cut; Lhotse keeps times of the recording in partial cuts."""
    alignment = supervision.get("alignment")
    items = alignment.get("phone") if isinstance(alignment, Mapping) else None
    if not isinstance(items, list):
        return []
    # Items are [symbol, start, duration] or [symbol, start, duration, score].
    phones = [item[:3] for item in items if isinstance(item, list) and len(item) >= 3]
    if not start_s or not all(type(phone[1]) in (int, float) for phone in phones):
        return phones
    moved = [[phone, round(at_s - start_s, 6), length_s] for phone, at_s, length_s in phones]
    return [phone for phone in moved if phone[1] >= 0]


def _whole(recording: Json, field: str, name: str) -> int:
    value = recording.get(field)
    if type(value) is int and 0 < value <= MAX_SAMPLES:
        return value
    raise DataError(f"{name}: `{field}` of its recording is {str(value)[:40]}; a count is needed")


def _seconds(cut: Json, field: str, name: str, default: float) -> float:
    value = cut.get(field, default)
    if type(value) in (int, float) and 0 <= value < 1e9:
        return float(value)
    raise DataError(f"{name}: `{field}` is {str(value)[:40]}; seconds are needed")
