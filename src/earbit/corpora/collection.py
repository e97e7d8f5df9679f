"""A collection of corpora, with a table of the clips that serve each task.

Every folder of the collection has a manifest.jsonl (docs/corpus.md) whose lines have the field
`tasks`, a list.  tasks/asv_trials.txt has trials, tasks/qbe.json queries and documents, and
tasks/sd_mixtures.jsonl recipes of mixtures.  All of them name files relative to the collection.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.corpora.collection_splits import (
    Clip,
    by_clip,
    folds_by_speaker,
    for_trials,
    given_or_none,
    in_turn,
    with_test,
)
from earbit.corpora.published import LabelledClip, Part, Placed, PublishedCorpus, Trial
from earbit.corpora.text_lines import text_lines, trial_lines, wrong_line
from earbit.errors import DataError

TRIALS, QUERIES, MIXTURES = "tasks/asv_trials.txt", "tasks/qbe.json", "tasks/sd_mixtures.jsonl"
NOT_IN_WORDS = re.compile(r"[^\w']+")
KEPT = ("speaker", "pseudo_speaker", "gender", "lang")
"""Labels that every task keeps."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the clips of a task come from."""

    task: str
    tags: tuple[str, ...]
    """Entries of the field `tasks` that name a clip of the task."""
    labels: tuple[str, ...]
    """Labels that are kept; a clip needs the first."""
    split: Callable[[Sequence[Clip]], Mapping[str, Mapping[str, str]]]
    """Clips -> labels `split` or `fold` by id; clips that are not in it are left out."""


SOURCES = (
    _Source("pr", ("PR",), ("phones", "text"), with_test),
    _Source("asr", ("ASR",), ("text",), with_test),
    _Source("ks", ("KS",), ("keyword",), given_or_none),
    _Source("sid", ("SID",), ("speaker",), by_clip),
    _Source("ic", ("IC",), ("intent", "slots"), with_test),
    _Source("sf", ("SF",), ("slots", "text"), with_test),
    _Source("er", ("ER",), ("emotion",), folds_by_speaker),
)
SPEAKERS = ("ASV", "ASV(crops)")
"""Tags of clips for speaker verification; of a speaker with `crops` there may be one clip."""


def _clips(root: Path) -> Mapping[str, Clip]:
    """Clips of all manifests by path relative to `root`, which all parts share."""
    manifests = sorted(root.glob(f"*/{MANIFEST_NAME}"))
    states = [path.stat() for path in manifests]
    return _parsed(root, tuple(manifests), tuple((s.st_mtime_ns, s.st_size) for s in states))


@functools.lru_cache(maxsize=1)
def _parsed(
    root: Path, manifests: tuple[Path, ...], states: tuple[tuple[int, int], ...]
) -> Mapping[str, Clip]:
    """`_clips`; states: times and sizes of the manifests, since changed ones are parsed again."""
    from earbit.audio.manifest import checked_labels  # here, as the command line reads the table

    found = {}
    for manifest in manifests:
        folder = manifest.parent.name
        for number, line in text_lines(manifest):
            record = _json(manifest, number, line)
            path, tags = record.get("path"), record.get("tasks") or []
            if not isinstance(path, str) or not isinstance(tags, list):
                raise wrong_line(manifest, number, line, "`path`, a text, and `tasks`, a list")
            try:
                record = checked_labels(record)
            except DataError as error:
                raise DataError(f"{manifest}:{number}: {error}") from error
            if f"{folder}/{path}" in found:
                raise wrong_line(manifest, number, line, "every path once")
            name = f"{folder}/{record.get('id', path)}"
            found[f"{folder}/{path}"] = Clip(name, folder, f"{folder}/{path}", record)
    return found


def _reader(source: _Source) -> Callable[[Path], Iterator[LabelledClip | str]]:
    def read(root: Path) -> Iterator[LabelledClip | str]:
        clips = [
            clip
            for clip in _clips(root).values()
            if {*source.tags} & {*clip.tags} and clip.labels.get(source.labels[0]) is not None
        ]
        # A task with a test set of its own is not mixed with clips of other label sets.
        own = {clip.corpus for clip in clips if clip.labels.get("split") == "test"}
        served = [clip for clip in clips if clip.corpus in own] if own else clips
        split_of = source.split(served)
        yield from (
            _labelled(clip, (*KEPT, *source.labels), split_of[clip.id])
            for clip in served
            if clip.id in split_of
        )
        if len(served) < len(clips):
            others = ", ".join(sorted({clip.corpus for clip in clips} - own))
            yield f"{source.task}: {others} not used, since {', '.join(sorted(own))} has test clips"
        if n_left_out := len(served) - len(split_of):
            yield f"{source.task}: {n_left_out:,} clips of speakers with very many or few left out"

    return read


def _read_asv(root: Path) -> Iterator[LabelledClip | str]:
    clips, split_of, trials = _verification(root)
    for clip in clips:
        if clip.id in split_of:
            yield _labelled(clip, KEPT, split_of[clip.id])
    n_left_out = sum(1 for _ in _trials(root)) - len(trials) if split_of else 0
    if n_left_out:
        yield f"asv: {n_left_out:,} trials of speakers who are for training left out"


def _asv_trials(root: Path) -> Iterator[Trial]:
    yield from _verification(root)[2]


def _verification(root: Path) -> tuple[list[Clip], Mapping[str, Mapping[str, str]], list[Trial]]:
    """Clips, their splits, and the trials between test speakers."""
    of_path = _clips(root)
    pairs = [
        (is_match, _of(of_path, root, TRIALS, first), _of(of_path, root, TRIALS, second))
        for is_match, first, second in _trials(root)
    ]
    tried = {clip.id: clip for _, *pair in pairs for clip in pair}
    tagged = {clip.id: clip for clip in of_path.values() if {*SPEAKERS} & {*clip.tags}}
    clips = [clip for clip in {**tagged, **tried}.values() if clip.speaker is not None]
    split_of = for_trials(clips, set(tried))
    is_test = {i for i, labels in split_of.items() if labels.get("split") == "test"}
    trials = [(same, a.id, b.id) for same, a, b in pairs if {a.id, b.id} <= is_test]
    return clips, split_of, trials


def _trials(root: Path) -> Iterator[tuple[bool, str, str]]:
    path = root / TRIALS
    return trial_lines(path) if path.is_file() else iter(())


def _read_qbe(root: Path) -> Iterator[LabelledClip | str]:
    path = root / QUERIES
    if not path.is_file():
        return
    of_path = _clips(root)
    try:
        tables = json.loads("\n".join(line for _, line in text_lines(path)))
        queries = [(str(q["query"]), str(q["word"])) for q in tables["queries"]]
        documents = [(str(d["doc"]), [*map(str, _list(d["words"]))]) for d in tables["docs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected `queries`, a list of query and word, and `docs`, a list of doc and "
            f"words ({error!r})"
        ) from error
    split_of = in_turn(queries)
    for file, word in queries:
        clip = _of(of_path, root, QUERIES, file)
        yield _labelled(clip, KEPT, {"query": word, "split": split_of[file]})
    for file, words in documents:
        yield _labelled(_of(of_path, root, QUERIES, file), KEPT, {"terms": words})


def _read_sd(root: Path) -> Iterator[LabelledClip | str]:
    """Mixtures, and recordings tagged SD that have no more speakers than a mixture."""
    path = root / MIXTURES
    n_most = 0
    for number, line in text_lines(path) if path.is_file() else ():
        recipe = _json(path, number, line)
        try:
            name, sources = str(recipe["id"]), recipe["sources"]
            placed = tuple(
                Placed(Path(s["path"]), float(s["start"]), float(s.get("gain_db", 0.0)))
                for s in sources
            )
            segments = [
                [s["start"], round(s["start"] + s["duration"], 3), str(s["speaker"])]
                for s in sources
            ]
        except (KeyError, TypeError, ValueError):
            placed, segments = (), []
        if not placed or not all(0 <= p.start_s < 1e5 and abs(p.gain_db) < 100 for p in placed):
            expected = "`id` and `sources`: path, speaker, start, duration and gain_db"
            raise wrong_line(path, number, line, expected)
        n_most = max(n_most, len({speaker for *_, speaker in segments}))
        yield LabelledClip(
            id=name, path=Path(f"{name}.wav"), labels={"segments": segments}, mixture=placed
        )
    real = [clip for clip in _clips(root).values() if "SD" in clip.tags]
    n_speakers = {clip.id: _n_speakers(clip, root) for clip in real}
    fitting = [c for c in real if n_speakers[c.id] and (not n_most or n_speakers[c.id] <= n_most)]
    yield from (_labelled(clip, ("segments",), {}) for clip in fitting)
    if len(fitting) < len(real):
        yield (
            f"sd: {len(real) - len(fitting)} recordings left out, which have no segments or more "
            f"speakers than the mixtures, {n_most}"
        )


def _n_speakers(clip: Clip, root: Path) -> int:
    """Number of speakers in the segments of a recording; 0 without segments."""
    try:
        return len({str(s[2]) for s in map(_list, _list(clip.labels.get("segments") or []))})
    except (TypeError, IndexError):
        raise DataError(
            f"{root / clip.corpus / MANIFEST_NAME}: `segments` of {clip.id} is not a list of "
            "[start_s, end_s, speaker]; correct the line"
        ) from None


def _list(value: Any) -> list[Any]:
    """The value; raises TypeError for a text, which can be iterated over too."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _labelled(clip: Clip, names: Sequence[str], more: Mapping[str, Any]) -> LabelledClip:
    kept = {name: clip.labels[name] for name in names if clip.labels.get(name) is not None}
    if isinstance(kept.get("text"), str):
        # Corpora differ in punctuation, which recordings do not tell.
        kept["text"] = " ".join(NOT_IN_WORDS.sub(" ", kept["text"]).split())
    return LabelledClip(id=clip.id, path=Path(clip.path), labels={**kept, **more})


def _of(of_path: Mapping[str, Clip], root: Path, table: str, file: str) -> Clip:
    if file not in of_path:
        raise DataError(f"{root / table}: {file} is in no manifest of {root}; correct the line")
    return of_path[file]


def _json(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise wrong_line(path, number, line, "a JSON object")
    return record


COLLECTION = PublishedCorpus(
    name="collection",
    title="collection",
    licence="those of its corpora",
    layout=(f"*/{MANIFEST_NAME}",),
    parts=(
        *(Part(name=s.task, tasks=(s.task,), read=_reader(s)) for s in SOURCES),
        Part(name="qbe", tasks=("qbe",), read=_read_qbe),
        Part(name="asv", tasks=("asv",), read=_read_asv, trials=_asv_trials),
        Part(name="sd", tasks=("sd",), read=_read_sd),
    ),
)
