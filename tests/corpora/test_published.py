"""What holds for every published corpus, on one of two parts that is made up here."""

import json
import os
from pathlib import Path

import pytest
from layouts import CHECKS, found, manifest, tree, write_wav

from earbit.audio.corpus import open_corpus
from earbit.cli.main import main
from earbit.corpora.prepare import prepare_published
from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.table import CORPORA, published_named
from earbit.errors import ConfigError, DataError

SPEAKERS = ("anna", "ben")
SPLITS = ("train", "valid", "test")


def read(root):
    for line in (root / "list.txt").read_text().split():
        split, speaker, name = line.split(":")
        labels = {"split": split, "speaker": speaker}
        yield LabelledClip(id=name, path=Path("wav") / f"{name}.wav", labels=labels)
    yield "a remark"


def read_excerpts(root):
    for i in range(3):
        yield LabelledClip(
            id=f"cut/{i}",
            path=Path("wav/anna-train.wav"),
            labels={"split": SPLITS[i], "speaker": SPEAKERS[i % 2]},
            excerpt=(400 * i, 400),
        )


def trials(root):
    names = [f"{speaker}-{split}" for speaker in SPEAKERS for split in SPLITS]
    return [(a[:2] == b[:2], a, b) for a in names for b in names]


def corpus(*parts):
    part = Part(tasks=("sid",), read=read, counts={split: 2 for split in SPLITS})
    return PublishedCorpus(
        name="made-up",
        title="Made Up",
        licence="free, https://example.org",
        layout=("list.txt", "wav"),
        parts=parts or (part,),
        notes=("a note",),
    )


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "made-up"
    lines = []
    for speaker in SPEAKERS:
        for split in SPLITS:
            write_wav(folder / "wav" / f"{speaker}-{split}.wav")
            lines.append(f"{split}:{speaker}:{speaker}-{split}")
    (folder / "list.txt").write_text("\n".join(lines))
    return folder


def prepare(root, out, *parts):
    return prepare_published(corpus(*parts), root, out, tasks=CHECKS)


def test_out_is_a_corpus_whose_audio_is_linked_and_the_root_stays_as_it_is(root, tmp_path):
    before = tree(root)
    for folder in (root, root / "wav"):
        folder.chmod(0o555)
    report = prepare(root, tmp_path / "out")
    for folder in (root, root / "wav"):
        folder.chmod(0o755)
    assert tree(root) == before
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"audio", "manifest.json", "manifest.jsonl"}
    assert Path(os.readlink(out / "audio")) == root
    assert manifest(out)["ben-valid"] == {
        "path": "audio/wav/ben-valid.wav",
        "speaker": "ben",
        "split": "valid",
    }
    assert report == json.loads((out / "manifest.json").read_text())
    assert report["corpus"] == "made-up"
    assert report["digest"] == open_corpus(out).digest
    assert "sid" in report["tasks"]
    assert report["published"] == {
        "title": "Made Up",
        "licence": "free, https://example.org",
        "root": str(root),
        "for_tasks": ["sid"],
        "files": {split: {"found": 2, "published": 2} for split in SPLITS},
        "n_missing": 0,
        "missing": [],
        "remarks": ["a note", "a remark"],
    }


def test_files_are_counted_against_the_published_number(root, tmp_path, capsys):
    (root / "wav" / "ben-train.wav").unlink()
    (root / "wav" / "anna-test.wav").write_bytes(b"")
    write_wav(root / "wav" / "more" / "extra.wav")
    report = prepare(root, tmp_path / "out")
    assert found(report) == {"train": 1, "valid": 2, "test": 1}
    assert report["published"]["n_missing"] == 1
    assert report["published"]["missing"] == ["wav/ben-train.wav"]
    assert report["n_quarantined"] == 1
    (rejected,) = map(json.loads, (tmp_path / "out" / "quarantine.jsonl").open())
    assert rejected["path"] == "wav/anna-test.wav"
    (unused,) = report["ignored"]
    assert "1 audio file without a line or not used" in unused
    assert unused.endswith("wav/more/extra.wav")
    said = capsys.readouterr().err
    assert "Made Up: train 1 of 2, valid 2 of 2, test 1 of 2 files" in said
    assert "1 of 6 audio files do not exist, the first: wav/ben-train.wav" in said
    assert unused in said
    assert "a note" in said
    assert "a remark" in said
    assert {*manifest(tmp_path / "out")} == {
        "anna-train", "anna-valid", "ben-valid", "ben-test",
    }  # fmt: skip


def test_a_task_of_the_corpus_that_cannot_use_it_is_said_with_the_reason(root, tmp_path, capsys):
    for path in (root / "wav").glob("*-train.wav"):
        path.unlink()
    prepare(root, tmp_path / "out")
    said = capsys.readouterr().err
    assert "sid cannot use it: no clip of 'anna' in test, " in said
    assert "asr cannot use it" not in said


def test_two_runs_write_the_same(root, tmp_path):
    for out in ("one", "two"):
        prepare(root, tmp_path / out)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_every_part_is_a_folder_with_its_trials(root, tmp_path):
    (root / "wav" / "ben-train.wav").unlink()
    parts = (
        Part(name="sid", tasks=("sid",), read=read, counts={"train": 9}),
        Part(name="asv", tasks=("asv",), read=read, trials=trials),
    )
    report = prepare(root, tmp_path / "out", *parts)
    assert set(report["parts"]) == {"sid", "asv"}
    assert report == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert report["parts"]["sid"]["published"]["files"]["train"] == {"found": 1, "published": 9}
    lines = (tmp_path / "out" / "asv" / "trials.txt").read_text().splitlines()
    assert len(lines) == 25
    assert "1 audio/wav/anna-train.wav audio/wav/anna-test.wav" in lines
    assert not any("ben-train" in line for line in lines)
    assert (
        "11 of 36 trials left out, whose clips are missing"
        in (report["parts"]["asv"]["published"]["remarks"])
    )
    assert not (tmp_path / "out" / "sid" / "trials.txt").exists()
    # All five clips are in trials, so none is left to train on.
    assert "all 5 clips have `split: test`" in report["parts"]["asv"]["tasks_without_labels"]["asv"]


def test_excerpts_are_files_of_the_same_samples(root, tmp_path):
    part = Part(tasks=("sid",), read=read_excerpts, counts={"train": 1})
    report = prepare(root, tmp_path / "out", part)
    assert found(report) == {"train": 1, "valid": 1, "test": 1}
    whole = (root / "wav" / "anna-train.wav").read_bytes()[44:]
    for i in range(3):
        cut = (tmp_path / "out" / "excerpts" / "cut" / f"{i}.wav").read_bytes()[44:]
        assert cut == whole[800 * i : 800 * (i + 1)]
    assert len(open_corpus(tmp_path / "out").cuts) == 3


def no_list(root):
    (root / "list.txt").unlink()


def same_id(root):
    with (root / "list.txt").open("a") as file:
        file.write("\ntrain:ben:anna-train")


def no_audio(root):
    for path in (root / "wav").glob("*.wav"):
        path.unlink()


def only_empty_files(root):
    for path in (root / "wav").glob("*.wav"):
        path.write_bytes(b"")


def damaged_inside(root):
    for path in (root / "wav").glob("*.wav"):
        path.write_bytes(path.read_bytes()[:-2])


def leaves_the_folder(root):
    (root / "list.txt").write_text("train:anna:../../secret")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_list, "no list.txt; expected below --root: list.txt, wav; Made Up: free, https"),
        (same_id, "two clips have the id 'anna-train', wav/anna-train.wav and wav/anna-train"),
        (no_audio, "none of 6 audio files exists, the first: wav/anna-test.wav; Made Up: free"),
        (only_empty_files, "no usable audio in it: 6 files or lines rejected"),
        (damaged_inside, "no usable audio in it: 6 files or lines rejected"),
        (leaves_the_folder, "leaves the folder"),
    ],
)
def test_a_corpus_that_cannot_be_used_leaves_nothing(root, tmp_path, damage, message):
    damage(root)
    before = tree(tmp_path)
    with pytest.raises(DataError) as caught:
        prepare(root, tmp_path / "new" / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_a_failure_after_the_manifest_is_written_leaves_nothing(root, tmp_path):
    def stop(corpus):
        raise KeyboardInterrupt

    before = tree(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prepare_published(corpus(), root, tmp_path / "out", tasks={"sid": stop})
    assert tree(tmp_path) == before


def test_a_used_out_and_one_in_the_corpus_are_refused(root, tmp_path):
    prepare(root, tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=r"holds other files .* give a new or an empty folder"):
        prepare(root, tmp_path / "out")
    with pytest.raises(ConfigError, match="in the folder of the corpus"):
        prepare(root, root / "out")
    assert tree(tmp_path) == before


def test_an_empty_out_and_a_link_to_one_are_filled(root, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    prepare(root, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(open_corpus(tmp_path / "real").cuts) == 6


def test_the_folder_above_the_corpus_is_told_apart(root, tmp_path):
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, tmp_path / "out")
    assert f"it is in {root}, give --root {root}; expected below --root" in str(caught.value)
    with pytest.raises(DataError, match="no such folder; expected below --root: list.txt, wav"):
        prepare(tmp_path / "nowhere", tmp_path / "out")


def test_names_are_listed_and_near_names_suggested(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    words = capsys.readouterr().out.split()
    assert {*CORPORA} <= {word.strip(",.") for word in words}
    assert published_named("folder", None) is None
    with pytest.raises(ConfigError, match="did you mean librispeech"):
        published_named("LibriSpeach", Path("x"))
    with pytest.raises(ConfigError, match=r"no kind of corpus; .* librispeech, "):
        published_named("zzz", Path("x"))
    with pytest.raises(ConfigError, match="prepare librispeech needs --root"):
        published_named("librispeech", None)
    with pytest.raises(ConfigError, match="--labels a.csv: prepare librispeech takes none"):
        published_named("librispeech", Path("x"), Path("a.csv"))


def test_every_corpus_names_its_licence_and_where_it_is():
    for name, known in CORPORA.items():
        assert known.name == name
        assert (
            "https://" in known.licence
            or "http://" in known.licence
            or name in ("tsv", "collection")
        )
