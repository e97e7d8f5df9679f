import functools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.audio.prepare import corpus_of
from earbit.audio.prepare import prepare as prepare_for
from earbit.errors import ConfigError, DataError
from earbit.superb.tasks import TASKS
from earbit.superb.work import work_on

RATE_HZ = 16_000
CHECKS = {name: functools.partial(work_on, task) for name, task in TASKS.items()}


def prepare(where, out_dir, tasks=CHECKS, **options):
    return prepare_for(where, out_dir, tasks=tasks, **options)


def test_the_report_counts_the_corpus_and_is_written(write_corpus, tmp_path):
    root, records = write_corpus(n=4, n_samples=9 * RATE_HZ, speaker="anna", text="hi")
    splits = ("train", "train", "test", None)
    records = [{**r, "split": s} for r, s in zip(records, splits, strict=True)]
    lines = [json.dumps(r) for r in records] + ["{broken"]
    (root / "manifest.jsonl").write_text("\n".join(lines))
    report = prepare(str(root), tmp_path / "out")
    assert report == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert report["corpus"] == "corpus"
    assert report["n_utterances"] == 4
    assert report["hours"] == 0.01
    assert report["n_speakers"] == 1
    assert report["n_quarantined"] == 1
    assert report["splits"] == {"none": 1, "test": 1, "train": 2}
    assert report["labels"]["text"] == 4
    (line,) = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "manifest.jsonl:5"


KEYWORDS = ["yes", "no"] * 3
IN_ALL_SPLITS = ["train", "train", "valid", "valid", "test", "test"]


@pytest.mark.parametrize(
    ("keywords", "splits", "reason"),
    [
        (KEYWORDS, IN_ALL_SPLITS, None),
        ([None] * 6, IN_ALL_SPLITS, "no clip among 6 has a usable `keyword`"),
        (["yes"] * 6, IN_ALL_SPLITS, "all of the class 'yes'; at least two classes are needed"),
        (KEYWORDS, ["test"] * 6, "split: test"),
        (KEYWORDS, ["train"] * 4 + ["valid", "test"], "no clip of 'yes' in test"),
    ],
    ids=["all", "no label", "one class", "test alone", "a class is missing"],
)
def test_a_task_is_named_where_it_can_use_labels_and_splits_and_else_the_reason(
    write_corpus, tmp_path, keywords, splits, reason
):
    root, records = write_corpus(n=6)
    labels = zip(records, keywords, splits, "abcdef", strict=True)
    lines = [{**r, "keyword": k, "split": s, "speaker": name} for r, k, s, name in labels]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = prepare(str(root), tmp_path / "out")
    if reason is None:
        assert "ks" in report["tasks"]
        assert "ks" not in report["tasks_without_labels"]
    else:
        assert "ks" not in report["tasks"]
        assert reason in report["tasks_without_labels"]["ks"]


def test_tasks_are_sorted_and_each_is_checked_by_itself(write_corpus, tmp_path):
    def refuse(corpus):
        raise DataError(f"{len(corpus.cuts)} clips are too few")

    root, _ = write_corpus(n=1)
    tasks = {"sf": str, "sid": refuse, "asr": str}
    report = prepare(str(root), tmp_path / "out", tasks=tasks)
    assert report["tasks"] == ["asr", "sf"]
    assert report["tasks_without_labels"] == {"sid": "1 clips are too few"}


def test_every_label_is_counted_whether_or_not_a_task_needs_it(write_corpus, tmp_path):
    alignment = [["l", 0.1, 0.05]]
    root, _ = write_corpus(n=2, emotion="sad", mine=7, split="train", phone_alignment=alignment)
    report = prepare(str(root), tmp_path / "out")
    assert report["labels"] == {"emotion": 2, "mine": 2, "phone_alignment": 2}


def test_a_clean_corpus_leaves_no_quarantine(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    prepare(str(root), tmp_path / "out")
    assert not (tmp_path / "out" / "quarantine.jsonl").exists()


def test_files_that_are_broken_within_are_quarantined_though_the_manifest_tells_their_length(
    write_corpus, tmp_path
):
    root, _ = write_corpus(n=4)
    (root / "0.flac").write_bytes(b"garbage" * 100)
    soundfile.write(
        root / "1.flac", np.full(RATE_HZ, np.nan), RATE_HZ, format="WAV", subtype="FLOAT"
    )
    soundfile.write(root / "2.flac", np.zeros(RATE_HZ // 2), RATE_HZ)
    report = prepare(str(root), tmp_path / "out")
    assert (report["n_utterances"], report["n_quarantined"]) == (1, 3)
    lines = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    reasons = {item["path"]: item["reason"] for item in map(json.loads, lines)}
    assert "cannot be decoded" in reasons["0.flac"]
    assert "NaN" in reasons["1.flac"]
    assert "`num_samples` is 16000, the file has 8000 samples" in reasons["2.flac"]


def test_silence_and_clipping_are_counted_and_are_no_fault(write_corpus, tmp_path):
    root, _ = write_corpus(n=3)
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    quiet_then_loud = np.concatenate([np.full(RATE_HZ // 2, 5e-4), tone[: RATE_HZ // 2]])
    soundfile.write(root / "0.flac", quiet_then_loud, RATE_HZ)
    soundfile.write(root / "1.flac", np.clip(2 * tone, -1, 1), RATE_HZ)
    report = prepare(str(root), tmp_path / "out")
    assert (report["silence_s"], report["n_clipped"], report["n_quarantined"]) == (0.5, 1, 0)


def test_unusable_files_are_counted_and_the_first_are_printed_with_one_path(
    write_corpus, tmp_path, capsys
):
    root, _ = write_corpus(n=6)
    (root / "manifest.jsonl").unlink()
    for i in range(5):
        (root / f"{i}.flac").write_bytes(b"garbage" * 100)
    prepare(str(root), tmp_path / "out")
    lines = capsys.readouterr().err.splitlines()
    quarantine = tmp_path / "out" / "quarantine.jsonl"
    first = lines.index(f"5 files cannot be used, see {quarantine}; the first:")
    shown = lines[first + 1 :]
    assert [line.split(": ")[0] for line in shown] == ["  0.flac", "  1.flac", "  2.flac"]
    assert not any(str(root) in line.split("ffmpeg")[0] for line in shown)


def test_nothing_is_printed_about_files_if_all_are_usable(write_corpus, tmp_path, capsys):
    root, _ = write_corpus(n=1)
    prepare(str(root), tmp_path / "out")
    assert "cannot be used" not in capsys.readouterr().err


def test_the_folder_of_the_corpus_is_refused_as_output_before_a_manifest_is_made(
    write_corpus, tmp_path
):
    root, _ = write_corpus(n=1)
    (root / "manifest.jsonl").unlink()
    (tmp_path / "labels.csv").write_text("path,keyword\n0.flac,yes\n")
    (tmp_path / "link").symlink_to(root)
    for out in (root, tmp_path / "link"):
        with pytest.raises(ConfigError, match="is the folder of the corpus"):
            prepare(str(root), out, labels=tmp_path / "labels.csv")
    assert [path.name for path in root.iterdir()] == ["0.flac"]


def test_an_output_folder_that_cannot_be_written_is_named(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/out: cannot write there"):
        prepare(str(root), tmp_path / "file" / "out")


def test_silent_files_are_named_and_counted(write_corpus, tmp_path, capsys):
    root, _ = write_corpus(n=4)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    soundfile.write(root / "0.flac", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(root / "1.flac", np.stack([tone, -tone], axis=1), RATE_HZ)
    soundfile.write(root / "2.flac", 0.01 * tone, RATE_HZ)
    report = prepare(str(root), tmp_path / "out")
    names = [Path(item["path"]).name for item in report["silent_files"]]
    assert names == ["0.flac", "1.flac"]
    said = capsys.readouterr().err
    assert "0.flac: silence: all samples are 0" in said
    assert "1.flac: silence: its channels cancel" in said
    assert "2.flac" not in said
    assert report["n_quarantined"] == 0


def test_of_many_silent_files_the_first_are_named_and_the_rest_counted(
    write_corpus, tmp_path, capsys
):
    root, _ = write_corpus(n=13)
    for path in root.glob("*.flac"):
        soundfile.write(path, np.zeros(RATE_HZ), RATE_HZ)
    assert len(prepare(str(root), tmp_path / "out")["silent_files"]) == 13
    said = capsys.readouterr().err
    assert said.count(": silence: ") == 10
    assert f"3 more silent files; see {tmp_path / 'out' / 'manifest.json'}" in said


def test_what_is_ignored_is_said_and_part_of_the_report(write_corpus, tmp_path, capsys):
    root, _ = write_corpus(n=1)
    (root / "manifest.jsonl").unlink()
    (root / "a.m4a").write_bytes(b"x")
    (line,) = prepare(str(root), tmp_path / "out")["ignored"]
    assert "1 .m4a file not read" in line
    assert line in capsys.readouterr().err


def test_a_table_of_labels_makes_the_manifest_that_is_then_looked_over(write_corpus, tmp_path):
    root, _ = write_corpus(n=2)
    (root / "manifest.jsonl").unlink()
    table = tmp_path / "labels.csv"
    table.write_text("path,keyword\n0.flac,yes\n1.flac,no\n")
    report = prepare(str(root), tmp_path / "out", labels=table)
    assert report["labels"] == {"keyword": 2}
    assert report["label_table"]["n_written"] == 2
    assert (root / "manifest.jsonl").exists()


def test_a_table_is_no_part_of_the_synthetic_corpus():
    with pytest.raises(ConfigError, match="--labels x.csv: prepare synthetic takes none"):
        corpus_of("synthetic", None, Path("x.csv"))


def test_audio_that_the_manifest_does_not_name_is_counted(write_corpus, tmp_path, capsys):
    root, _ = write_corpus(n=2)
    assert prepare(str(root), tmp_path / "out")["ignored"] == []
    for name in ("new.flac", "newer.flac"):
        soundfile.write(root / name, np.ones(RATE_HZ) / 2, RATE_HZ)
    report = prepare(str(root), tmp_path / "out")
    (line,) = report["ignored"]
    assert "manifest.jsonl: no usable line for 2 audio files, the first: " in line
    assert line in capsys.readouterr().err
    assert report["n_utterances"] == 2
