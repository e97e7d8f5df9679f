"""`earbit prepare NAME`: reads a published corpus, checks it, and writes it with a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earbit.audio.clips import path_of
from earbit.audio.corpus import Corpus, corpus_of_items, open_corpus, say_ignored, write_quarantine
from earbit.audio.folder import AudioFolder, audio_folder
from earbit.audio.manifest import check_stays_inside, read_folder
from earbit.audio.prepare import (
    REPORT_NAME,
    UNSPLIT,
    Check,
    decoded_levels,
    look_over,
)
from earbit.audio.shard_folder import check_shard_size, with_shards
from earbit.corpora.published import LabelledClip, Part, PublishedCorpus, Trial
from earbit.corpora.write import complete_or_absent, write_part
from earbit.errors import ConfigError, DataError
from earbit.files import name_of, refuse_other_files, writable, write_json
from earbit.progress import say

SPLITS = ("train", "valid", "test", UNSPLIT)
"""Order of the splits in the report."""
N_NAMED = 3
"""Maximum number of missing files that are named."""


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the tables of a part hold, whether or not its audio exists."""

    part: Part
    clips: Sequence[LabelledClip]
    trials: Sequence[Trial]
    remarks: Sequence[str]


def prepare_published(
    corpus: PublishedCorpus,
    root: Path,
    out_dir: Path,
    *,
    tasks: Mapping[str, Check],
    shard_mb: float | None = None,
) -> dict[str, Any]:
    """Writes manifest.jsonl, a link to the audio and a report to a new folder; returns the report.

    tasks: the check of each task.  shard_mb: each folder also has shards of this size.
    A corpus of several parts has a folder for each below `out_dir`.  Every file is decoded first.
    Nothing is written below `root`, and `out_dir` is complete or absent.  Raises DataError for
    missing or damaged tables and without usable audio, and ConfigError for an `out_dir` that is not
    empty or in the folder of the corpus.
    """
    check_shard_size(shard_mb)
    corpus.check_layout(root)
    audio_root = corpus.audio_root(root).absolute()
    _refuse_place(out_dir, audio_root)
    read = [_read(part, root, audio_root) for part in corpus.parts]
    contents = [content for content in read if content.clips]
    paths = sorted({f for content in contents for clip in content.clips for f in clip.files})
    if not paths:
        raise DataError(f"{root}: no clip in it that a task uses; {corpus.expected()}")
    present = [path for path in paths if (audio_root / path).is_file()]
    if not present:
        raise DataError(
            f"{audio_root}: none of {len(paths)} audio files exists, the first: {paths[0]}; "
            f"{corpus.title}: {corpus.licence}"
        )
    found = AudioFolder(audio_root, tuple(audio_root / path for path in present), {}, ())
    opened = corpus_of_items(corpus.name, audio_root, read_folder(found), _unused(found))
    say_ignored(opened)
    _say_missing(paths, present)
    if empty := [content.part.name for content in read if not content.clips]:
        say(f"no clip for {', '.join(empty)}")
    for line in _remarks(corpus, contents):
        say(line)
    reports = {}
    # Entered before decoding, which takes hours: a place without write access is refused first.
    with complete_or_absent(out_dir) as new:
        decoded, levels = decoded_levels(opened, out_dir / REPORT_NAME)
        n_samples_of = {
            path_of(cut).relative_to(audio_root): cut.recording.num_samples for cut in decoded.cuts
        }
        for content in contents:
            folder = new / content.part.name
            write_part(folder, audio_root, content.clips, n_samples_of, content.trials)
            written = _written(folder, content, decoded)
            listed = replace(decoded, quarantine=written.quarantine)
            write_quarantine(listed, folder, out_dir / content.part.name)
            about = _about(corpus, audio_root, content, n_samples_of)
            seen = {**look_over(written, tasks), **levels, "published": about}
            if shard_mb is not None:
                seen |= with_shards(written, folder, folder, shard_mb=shard_mb)
            reports[content.part.name] = _with_place(writable(seen), new, out_dir)
            write_json(folder / REPORT_NAME, reports[content.part.name])
        if set(reports) != {""}:
            write_json(new / REPORT_NAME, {"corpus": corpus.name, "parts": reports})
    for name, report in reports.items():
        say(f"{' '.join(filter(None, (corpus.title, name)))}: {_said(report['published'])}")
        reasons = report["tasks_without_labels"]
        for task in (task for task in report["published"]["for_tasks"] if task in reasons):
            say(f"{task} cannot use it: {reasons[task]}")
    return reports.get("") or {"corpus": corpus.name, "parts": reports}


def _with_place(value: Any, new: Path, out_dir: Path) -> Any:
    """A JSON value in whose texts the temporary folder has the name that it is renamed to."""
    old = json.dumps(name_of(new))[1:-1]
    return json.loads(json.dumps(value).replace(old, json.dumps(name_of(out_dir))[1:-1]))


def _refuse_place(out_dir: Path, audio_root: Path) -> None:
    """Raises ConfigError for an output folder that is not empty or in the folder of the corpus."""
    refuse_other_files(out_dir, ())
    if out_dir.is_dir() and (hidden := sorted(path.name for path in out_dir.iterdir())):
        raise ConfigError(
            f"--out {out_dir}: has the hidden file {hidden[0]}; remove it, or give a new folder"
        )
    if out_dir.resolve().is_relative_to(audio_root.resolve()):
        raise ConfigError(
            f"--out {out_dir}: in the folder of the corpus, {audio_root}; give another as --out"
        )


def _read(part: Part, root: Path, audio_root: Path) -> _Contents:
    """Reads the tables of a part; raises DataError for ids that are used twice."""
    items = list(part.read(root))
    clips = [item for item in items if isinstance(item, LabelledClip)]
    path_of: dict[str, Path] = {}
    present = set()
    for clip in clips:
        for path in (clip.path, *clip.files):
            check_stays_inside(f"{root}: clip {clip.id!r}", name_of(path))
        if clip.id in path_of:
            raise DataError(
                f"{root}: two clips have the id {clip.id!r}, {path_of[clip.id]} and {clip.path}; "
                "remove one of the two lines or files"
            )
        path_of[clip.id] = clip.path
        if all((audio_root / path).is_file() for path in clip.files):
            present.add(clip.id)
    trials = [] if part.trials is None else list(part.trials(root))
    remarks = [item for item in items if isinstance(item, str)]
    n_lost = sum(not present >= {first, second} for _, first, second in trials)
    if n_lost:
        remarks.append(f"{n_lost} of {len(trials)} trials left out, whose clips are missing")
    return _Contents(part, clips, trials, remarks)


def _unused(found: AudioFolder) -> tuple[str, ...]:
    """Notes about audio files that no clip uses, in the folders that have used ones."""
    used = set(found.files)
    relative = [path.relative_to(found.root).parts for path in found.files]
    tops = {parts[0] if len(parts) > 1 else "" for parts in relative}
    folders = [audio_folder(found.root / top) for top in ([""] if "" in tops else sorted(tops))]
    others = [path for folder in folders for path in folder.files if path not in used]
    notes = [note for folder in folders for note in folder.notes()]
    if others:
        count = f"{len(others):,} audio file{'s' if len(others) > 1 else ''}"
        notes.append(f"{found.root}: {count} without a line or not used, the first: {others[0]}")
    return tuple(notes)


def _say_missing(paths: Sequence[Path], present: Sequence[Path]) -> None:
    missing = sorted({*paths} - {*present})
    if missing:
        first = ", ".join(map(str, missing[:N_NAMED]))
        say(f"{len(missing):,} of {len(paths):,} audio files do not exist, the first: {first}")


def _remarks(corpus: PublishedCorpus, contents: Sequence[_Contents]) -> list[str]:
    return list(dict.fromkeys([*corpus.notes, *(r for c in contents for r in c.remarks)]))


def _written(folder: Path, content: _Contents, decoded: Corpus) -> Corpus:
    """A part as written, with name, notes and damaged files of the whole corpus."""
    written = open_corpus(folder)
    names = {name_of(path) for clip in content.clips for path in clip.files}
    damaged = [rejected for rejected in decoded.quarantine if rejected.path in names]
    return replace(
        written,
        name=decoded.name,
        ignored=decoded.ignored,
        quarantine=(*damaged, *written.quarantine),
    )


def _about(
    corpus: PublishedCorpus,
    audio_root: Path,
    content: _Contents,
    n_samples_of: Mapping[Path, int],
) -> dict[str, Any]:
    """Source, remarks, and the number of audio files found and published by split."""
    files: dict[str, set[Path]] = {}
    for clip in content.clips:
        files.setdefault(clip.labels.get("split") or UNSPLIT, set()).add(clip.path)
    published = content.part.counts
    needed = {path for clip in content.clips for path in clip.files}
    missing = sorted(path for path in needed if not (audio_root / path).is_file())
    usable = {clip.path for clip in content.clips if n_samples_of.keys() >= {*clip.files}}
    return {
        "title": corpus.title,
        "licence": corpus.licence,
        "root": str(audio_root),
        "for_tasks": list(content.part.tasks),
        "files": {
            split: {
                "found": len(files.get(split, set()) & usable),
                "published": published.get(split),
            }
            for split in sorted({*files, *published}, key=SPLITS.index)
        },
        "n_missing": len(missing),
        "missing": [str(path) for path in missing[:N_NAMED]],
        "remarks": _remarks(corpus, [content]),
    }


def _said(about: Mapping[str, Any]) -> str:
    """Files found and published, by split, on one line."""
    count_of = {
        split: f"{n['found']:,}" + ("" if n["published"] is None else f" of {n['published']:,}")
        for split, n in about["files"].items()
    }
    unsplit = count_of.pop(UNSPLIT, None)
    by_split = ", ".join(f"{split} {count}" for split, count in count_of.items())
    without = None if unsplit is None else f"{unsplit} files without a split"
    return ", ".join(filter(None, (by_split and f"{by_split} files", without)))
