"""A collection of three small corpora with tables of trials, queries and mixtures."""

import json

import numpy as np
import pytest
import soundfile
from layouts import manifest, prepared, tree, write_wav

from earbit.audio.corpus import open_corpus
from earbit.corpora import collection
from earbit.errors import DataError
from earbit.superb.tasks import TASKS
from earbit.superb.verb import corpora_of
from earbit.superb.work import work_on

READERS = [f"reader-{i}" for i in range(10)]
ACTORS = [f"actor-{i}" for i in range(4)]
WORDS = ("yes", "no")


def reading_lines():
    for s, speaker in enumerate(READERS):
        for i in range(4):
            yield {
                "id": f"{speaker}-{i}",
                "path": f"{speaker}/{i}.wav",
                "speaker": speaker,
                "text": f"Well, that's {'so' if i % 2 else 'nice'}.",
                "phones": "W EH L",
                "split": "valid" if s >= 8 else "train",
                "tasks": ["ASR", "PR", "SID", "ASV"],
                "rms_dbfs": -20.0,
            }


def acting_lines():
    for speaker in ACTORS:
        for i, emotion in enumerate(("anger", "joy") * 3):
            yield {
                "id": f"{speaker}-{i}",
                "path": f"{speaker}/{i}.wav",
                "speaker": speaker,
                "emotion": emotion,
                "split": "train",
                "tasks": ["ER", "SID", "ASV"],
            }


def word_lines(folder, splits):
    for i in range(6):
        for word in WORDS:
            for split in splits:
                yield {
                    "id": f"{word}-{split}-{i}",
                    "path": f"{word}-{split}-{i}.wav",
                    "pseudo_speaker": f"{folder}-{split}-{i}",
                    "keyword": word,
                    "intent": "order",
                    "slots": {"drink": "tea" if word == "yes" else "milk"},
                    "split": split,
                    "tasks": ["KS", "IC", "SF"] if folder == "words" else ["KS"],
                }


CORPORA = {
    "reading": list(reading_lines()),
    "acting": list(acting_lines()),
    "words": list(word_lines("words", ("train", "valid", "test"))),
    "more-words": list(word_lines("more-words", ("train", "valid"))),
}
MIXTURES = [
    {
        "id": f"mix{i}",
        "sources": [
            {
                "path": f"reading/reader-{2 * i + s}/{s}.wav",
                "speaker": f"reader-{2 * i + s}",
                "start": 0.1 * s,
                "duration": 0.2,
                "gain_db": 6.0 * s,
            }
            for s in (0, 1)
        ],
    }
    for i in range(5)
]
TRIALS = [f"{int(a == b)} reading/{a}/0.wav reading/{b}/1.wav" for a in READERS for b in READERS]
QUERIES = {
    "queries": [{"query": f"words/yes-train-{i}.wav", "word": "NICE"} for i in range(4)],
    "docs": [{"doc": "reading/reader-0/0.wav", "words": ["WELL", "NICE"]}]
    + [{"doc": f"reading/reader-{i}/1.wav", "words": ["WELL"]} for i in range(3)],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("collection") / "data"
    for name, lines in CORPORA.items():
        for i, line in enumerate(lines):
            write_wav(root / name / line["path"], n_samples=3_200, hz=200 + 5 * i)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (root / name / "manifest.jsonl").write_text(text)
    (root / "tasks").mkdir()
    (root / "tasks" / "asv_trials.txt").write_text("\n".join(TRIALS) + "\n")
    (root / "tasks" / "qbe.json").write_text(json.dumps(QUERIES, indent=1))
    text = "".join(json.dumps(line) + "\n" for line in MIXTURES)
    (root / "tasks" / "sd_mixtures.jsonl").write_text(text)
    before = tree(root)
    out = root.parent / "out"
    report = prepared("collection", root, out)
    assert tree(root) == before
    return root, out, report


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_corpus_that_it_can_use(made, task):
    _, out, report = made
    assert task in report["parts"][task]["tasks"]
    assert corpora_of([TASKS[task]], [str(out)]) == {task: str(out / task)}
    work_on(TASKS[task], open_corpus(out / task))


def test_clips_keep_the_labels_of_the_task_and_the_audio_is_linked(made):
    _, out, _ = made
    assert manifest(out / "er")["acting/actor-0-1"].keys() == {"path", "speaker", "emotion", "fold"}
    assert manifest(out / "pr")["reading/reader-0-0"] == {
        "path": "audio/reading/reader-0/0.wav",
        "speaker": "reader-0",
        "text": "Well that's nice",
        "phones": "W EH L",
        "split": manifest(out / "pr")["reading/reader-0-0"]["split"],
    }
    for task in set(TASKS) - {"sd"}:
        assert {path.name for path in (out / task).iterdir() if path.is_dir()} == {"audio"}
        assert (out / task / "audio").is_symlink()


def test_corpora_with_test_clips_alone_serve_their_task(made):
    _, out, report = made
    assert {name.partition("/")[0] for name in manifest(out / "ks")} == {"words"}
    remarks = report["parts"]["ks"]["published"]["remarks"]
    assert remarks == ["ks: more-words not used, since words has test clips"]


def test_trials_are_between_speakers_who_are_not_trained_on(made):
    _, out, report = made
    splits = work_on(TASKS["asv"], open_corpus(out / "asv")).of_task
    speakers = {p: {e.speaker for e in getattr(splits, p)} for p in ("train", "valid", "test")}
    assert len(speakers["test"]) == 5
    assert not speakers["test"] & (speakers["train"] | speakers["valid"])
    assert not speakers["train"] & speakers["valid"]
    assert {*ACTORS} <= speakers["train"] | speakers["valid"]
    assert len(splits.trials["test"]) == 25
    assert sum(trial.is_match for trial in splits.trials["test"]) == 5
    remarks = report["parts"]["asv"]["published"]["remarks"]
    assert remarks == ["asv: 75 trials of speakers who are for training left out"]


def test_a_mixture_is_the_sum_of_its_files_at_their_start_and_level(made):
    root, out, _ = made
    line = manifest(out / "sd")["mix2"]
    assert line == {
        "path": "mixtures/mix2.wav",
        "segments": [[0.0, 0.2, "reader-4"], [0.1, 0.3, "reader-5"]],
    }
    mixed, _ = soundfile.read(out / "sd" / line["path"])
    first, _ = soundfile.read(root / "reading" / "reader-4" / "0.wav")
    second, _ = soundfile.read(root / "reading" / "reader-5" / "1.wav")
    expected = np.zeros(4_800)
    expected[:3_200] += first
    expected[1_600:] += 1.99526 * second  # 6 dB
    np.testing.assert_allclose(mixed, expected, atol=2e-4)


def test_a_mixture_beyond_full_scale_is_scaled_down(tmp_path):
    write_wav(tmp_path / "data" / "a" / "x.wav")
    line = {"path": "x.wav", "tasks": []}
    (tmp_path / "data" / "a" / "manifest.jsonl").write_text(json.dumps(line))
    (tmp_path / "data" / "tasks").mkdir()
    source = {"path": "a/x.wav", "speaker": "s", "start": 0, "duration": 0.1, "gain_db": 20}
    recipe = json.dumps({"id": "loud", "sources": [source]})
    (tmp_path / "data" / "tasks" / "sd_mixtures.jsonl").write_text(recipe)
    prepared("collection", tmp_path / "data", tmp_path / "out")
    mixed, _ = soundfile.read(tmp_path / "out" / "sd" / "mixtures" / "loud.wav")
    assert np.abs(mixed).max() == pytest.approx(0.99, abs=1e-4)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sd", "manifest.json"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("words/manifest.jsonl", "{", "manifest.jsonl:1: .* a JSON object"),
        ("words/manifest.jsonl", '{"path": 3}', "manifest.jsonl:1: .* `path`, a text"),
        ("words/manifest.jsonl", '{"path": "x", "tasks": "KS"}', "`tasks`, a list"),
        ("words/manifest.jsonl", '{"path": "x", "split": "all"}', "manifest.jsonl:1: split 'all'"),
        ("words/manifest.jsonl", '{"path": "x", "text": 1}', "manifest.jsonl:1: text is 1"),
        (
            "words/manifest.jsonl",
            '{"path": "x.wav", "tasks": ["SD"], "segments": [[0, 1, "a"], 2]}',
            "`segments` of words/x.wav is not a list of",
        ),
        ("words/manifest.jsonl", '{"path": "x.wav"}', "no clip in it that a task uses; expected"),
        ("tasks/asv_trials.txt", "1 reading/x.wav\n", "asv_trials.txt:1: .*`1 FILE FILE`"),
        ("tasks/asv_trials.txt", "1 a/b.wav a/c.wav\n", "a/b.wav is in no manifest"),
        ("tasks/qbe.json", '{"queries": []}', "qbe.json: expected `queries`"),
        ("tasks/qbe.json", "[", "qbe.json: expected `queries`"),
        (
            "tasks/qbe.json",
            '{"queries": [], "docs": [{"doc": "words/x.wav", "words": "yes"}]}',
            "qbe.json: expected `queries`.*'yes' is not a list",
        ),
        ("tasks/sd_mixtures.jsonl", '{"id": "m"}', "sd_mixtures.jsonl:1: .*`sources`"),
        ("tasks/sd_mixtures.jsonl", '{"id": "m", "sources": []}', "sd_mixtures.jsonl:1"),
        (
            "tasks/sd_mixtures.jsonl",
            '{"id": "m", "sources": [{"path": "a/x.wav", "speaker": "s", "start": -1, '
            '"duration": 1}]}',
            "sd_mixtures.jsonl:1",
        ),
    ],
)
def test_a_damaged_table_is_one_line_and_nothing_is_written(tmp_path, name, content, problem):
    for folder in ("words", "tasks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    line = {"path": "x.wav", "keyword": "yes", "tasks": ["KS"]}
    (tmp_path / "data" / "words" / "manifest.jsonl").write_text(json.dumps(line))
    write_wav(tmp_path / "data" / "words" / "x.wav")
    (tmp_path / "data" / name).write_text(content)
    with pytest.raises(DataError, match=problem) as error:
        prepared("collection", tmp_path / "data", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_manifest_is_parsed_once_for_all_parts_and_again_when_it_changes(tmp_path, monkeypatch):
    root = tmp_path / "data"
    for i, line in enumerate(CORPORA["words"]):
        write_wav(root / "words" / line["path"], n_samples=3_200, hz=200 + 5 * i)
    path = root / "words" / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in CORPORA["words"]))
    right, parsed = collection.text_lines, []

    def text_lines(of):
        parsed.append(of)
        return right(of)

    monkeypatch.setattr(collection, "text_lines", text_lines)
    prepared("collection", root, tmp_path / "a")
    assert parsed == [path]
    path.write_text("".join(json.dumps(line) + "\n" for line in CORPORA["words"][:-2]))
    prepared("collection", root, tmp_path / "b")
    assert parsed == [path, path]
    counts = [len(manifest(tmp_path / name / "ks")) for name in "ab"]
    assert counts[0] - counts[1] == 2
