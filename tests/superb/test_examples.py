"""Examples of a corpus on disk, and trials of speaker verification beside its manifest."""

import json

import numpy as np
import pytest
import soundfile

from earbit.audio.corpus import open_corpus, without
from earbit.audio.label_table import COLUMNS
from earbit.errors import DataError
from earbit.heads.example import Trial
from earbit.heads.kinds.table import KINDS
from earbit.heads.kinds.vector import VECTOR, drawn_trials
from earbit.heads.split_checks import say_splits
from earbit.heads.trials import digest_with_trials
from earbit.superb.asv import ASV
from earbit.superb.examples import task_splits
from earbit.superb.sd import SD
from earbit.superb.sid import SID
from earbit.superb.tasks import TASKS

SPEAKERS = ("anna", "ben", "cleo", "dan", "eve", "fay", "gus", "hal")


def write(root, lines):
    wave = np.random.default_rng(0).normal(scale=0.1, size=3_200)
    for line in lines:
        path = root / line["path"]
        path.parent.mkdir(exist_ok=True, parents=True)
        soundfile.write(path, wave, 16_000)
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def root(tmp_path):
    lines = [
        {"id": f"{speaker}{i}", "path": f"{speaker}/{i}.wav", "speaker": speaker}
        for speaker in SPEAKERS
        for i in range(3)
    ]
    write(tmp_path, lines)
    return tmp_path


def with_trials(root, text):
    (root / "trials.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return task_splits(ASV, open_corpus(root))


def speakers_in(part):
    return {example.speaker for example in part}


def test_trials_are_read_by_the_paths_of_the_clips(root):
    text = "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n\n1 ben/0.wav ben/2.wav\n"
    expected = (
        Trial(first="anna0", second="anna1", is_match=True),
        Trial(first="anna0", second="ben0", is_match=False),
        Trial(first="ben0", second="ben2", is_match=True),
    )
    assert with_trials(root, text).trials["test"] == expected
    # Windows line ends, tabs, and a mark of the byte order.
    other = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").replace(" ", "\t").encode()
    assert with_trials(root, other).trials["test"] == expected


def test_speakers_of_trials_are_held_out_of_training(root):
    splits = with_trials(root, "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n")
    assert {e.id for e in splits.test} == {"anna0", "anna1", "ben0"}
    assert not speakers_in((*splits.train, *splits.valid)) & {"anna", "ben"}
    assert not speakers_in(splits.train) & speakers_in(splits.valid)


def test_the_trials_of_the_corpus_are_scored_and_drawn_ones_where_it_has_none(root):
    splits = with_trials(root, "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n")
    directions = {e.id: np.array([1.0, 0.0]) for e in splits.test}
    assert len(VECTOR.cases(splits.test, directions, splits.trials["test"]).references) == 2
    (root / "trials.txt").unlink()
    splits = task_splits(ASV, open_corpus(root))
    assert len(splits.trials["test"]) > 2
    assert splits.trials["test"] == tuple(drawn_trials(splits.test))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2 anna/0.wav anna/1.wav", "expected `1 FILE FILE` or `0 FILE FILE`"),
        ("yes anna/0.wav anna/1.wav", "expected `1 FILE FILE`"),
        ("1 anna/0.wav", "expected `1 FILE FILE`"),
        ("1 anna/0.wav anna/1.wav ben/0.wav", "expected `1 FILE FILE`"),
        ("anna/0.wav anna/1.wav 1", "expected `1 FILE FILE`"),
        ("1 anna/0.wav ghost.wav", "ghost.wav is not in the corpus"),
        ("1 anna0 anna1", "anna0 is not in the corpus"),
        ("1 ../anna/0.wav anna/1.wav", "is not in the corpus"),
    ],
)
def test_a_line_that_is_no_trial_is_named(root, line, problem):
    with pytest.raises(DataError, match=f"trials.txt:2: .*{problem}"):
        with_trials(root, f"1 anna/0.wav anna/1.wav\n{line}\n")


def test_other_tasks_do_not_look_at_trials(root):
    (root / "trials.txt").write_text("nonsense\n")
    assert task_splits(SID, open_corpus(root)).trials == {}


def test_a_clip_of_a_trial_without_a_speaker_is_named(root):
    """Its speaker cannot be held out, and it has no target."""
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    write(root, [*lines, {"id": "nobody", "path": "nobody.wav"}])
    with pytest.raises(DataError, match="nobody"):
        with_trials(root, "1 anna/0.wav anna/1.wav\n0 anna/0.wav nobody.wav\n")


@pytest.mark.parametrize("text", ["1 anna/0.wav anna/1.wav\n", "0 anna/0.wav ben/1.wav\n"], ids=str)
def test_trials_of_one_kind_are_an_error(root, text):
    """An equal error rate needs matches and others."""
    with pytest.raises(DataError, match="trials.txt"):
        with_trials(root, text)


def test_trials_of_all_speakers_leave_nobody_to_train_on(root):
    lines = [f"0 {a}/0.wav {b}/0.wav" for a in SPEAKERS for b in SPEAKERS if a != b]
    with pytest.raises(DataError, match="clips to train on are needed"):
        with_trials(root, "1 anna/0.wav anna/1.wav\n" + "\n".join(lines))


def test_clips_with_segments_are_split_by_clip_where_no_speaker_is_told(tmp_path):
    segments = [[0, 0.1, "a"], [0.05, 0.2, "b"]]
    write(tmp_path, [{"path": f"{i}.wav", "segments": segments} for i in range(20)])
    splits = task_splits(SD, open_corpus(tmp_path))
    assert splits.train[0].target == ((0.0, 0.1, "a"), (0.05, 0.2, "b"))
    assert len(splits.train) > len(splits.test) >= len(splits.valid) >= 1
    assert splits.summary["n_without_segments"] == 0


def test_clips_with_a_label_that_cannot_be_used_are_counted_and_named(tmp_path, capsys):
    good, turned = [[0, 0.1, "a"]], [[0.1, 0, "a"]]
    lines = [{"id": f"c{i}", "path": f"{i}.wav", "segments": good} for i in range(20)]
    lines[3]["segments"], lines[5]["segments"] = turned, []
    del lines[7]["segments"]
    write(tmp_path, lines)
    splits = task_splits(SD, open_corpus(tmp_path))
    assert splits.summary["n_without_segments"] == 3
    assert splits.summary["unusable"] == "2 clips, such as 'c3', have an unusable `segments`"
    say_splits("sd", splits)
    assert "sd: 2 clips, such as 'c3', have an unusable `segments`; they are left" in (
        capsys.readouterr().err
    )


def test_a_corpus_without_segments_is_told_what_is_needed(root):
    with pytest.raises(DataError, match="no clip among 24 has a usable `segments`"):
        task_splits(SD, open_corpus(root))


def test_the_hint_names_the_column_or_the_fields_that_the_task_needs(root):
    """The fields in the hint are labels that the task can use."""
    corpus = open_corpus(root)
    with pytest.raises(DataError, match="from a table with the columns path and emotion"):
        task_splits(TASKS["er"], corpus)
    for name in ("sf", "sd"):
        task = TASKS[name]
        with pytest.raises(DataError) as error:
            task_splits(task, corpus)
        assert f"such as {task.example}; a table (--labels) cannot hold it" in str(error.value)
        (target,) = task.targets_of([json.loads(f"{{{task.example}}}")])
        assert KINDS[task.kind].target_of(target) is not None
    assert {t.name for t in TASKS.values() if t.head and t.label not in COLUMNS} == {"sf", "sd"}


def test_trials_of_files_that_cannot_be_used_are_left_out_and_counted(root, capsys):
    text = "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n1 ben/0.wav ben/2.wav\n"
    (root / "trials.txt").write_text(text)
    corpus = without(open_corpus(root), {"ben2": "damaged"})
    assert len(task_splits(ASV, corpus).trials["test"]) == 2
    assert "trials.txt: 1 trials of unusable files are left out" in capsys.readouterr().err


def test_trials_belong_to_the_digest_of_speaker_verification_alone(root):
    corpus = open_corpus(root)
    assert digest_with_trials(corpus, "vector") == corpus.digest
    digests = set()
    for text in ("1 anna/0.wav anna/1.wav\n", "0 anna/0.wav ben/0.wav\n"):
        (root / "trials.txt").write_text(text)
        digests.add(digest_with_trials(corpus, "vector"))
        assert digest_with_trials(corpus, "class") == corpus.digest
    assert len(digests | {corpus.digest}) == 3


def test_the_summary_tells_drawn_trials_from_those_of_the_corpus(root):
    summary = with_trials(root, "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n").summary
    assert (summary["trials"], summary["n_trials"]["test"]) == ("trials.txt", 2)
    (root / "trials.txt").unlink()
    assert task_splits(ASV, open_corpus(root)).summary["trials"] == "drawn"


def test_splits_that_share_speakers_keep_the_clips_of_given_trials_for_the_test(root):
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    parts = ("train", "valid")
    write(root, [{**line, "split": parts[i % 2]} for i, line in enumerate(lines)])
    splits = with_trials(root, "1 anna/0.wav anna/1.wav\n0 anna/0.wav ben/0.wav\n")
    assert {e.id for e in splits.test} == {"anna0", "anna1", "ben0"}
    assert not speakers_in(splits.train) & speakers_in((*splits.valid, *splits.test))
    assert "share speakers" in splits.summary["drawn_by"]
