"""Speech Commands in its own layout, with speakers whose split by the hash is known."""

import hashlib
from collections import Counter

import pytest
from layouts import found, manifest, prepared, tree, write_wav

from earbit.cli.main import main
from earbit.corpora.speech_commands import split_of
from earbit.errors import DataError

WORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
SPEAKERS = {"train": "0132a06d", "valid": "9e3779b1", "test": "be1e0823"}
IN_THE_TEST_SET = ("03401e93", "0487ba9b", "0c40e715", "0f250098", "105a0eea")
"""Speakers of the test set of version 0.02."""
SECOND = 16_000


def write_words(folder):
    for i, word in enumerate([*WORDS, "bed"]):
        for speaker in SPEAKERS.values():
            write_wav(folder / word / f"{speaker}_nohash_0.wav", 8_000, 200 + 50 * i)
    write_wav(folder / "_background_noise_" / "pink_noise.wav", 21 * SECOND + 99, 900)
    (folder / "README.md").write_text("about")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpora"
    write_words(folder / "speech_commands_v0.01")
    test_set = folder / "speech_commands_test_set_v0.01"
    for i, word in enumerate(WORDS):
        write_wav(test_set / word / "0a7c2a8d_nohash_0.wav", 8_000, 200 + 50 * i)
    write_wav(test_set / "_unknown_" / "bed_0a7c2a8d_nohash_0.wav", 8_000)
    write_wav(test_set / "_silence_" / "12.wav", SECOND)
    return folder


def test_the_split_is_the_hash_of_the_speaker():
    for split, speaker in SPEAKERS.items():
        for n in range(3):
            assert split_of(f"{speaker}_nohash_{n}.wav") == split
        # By another way to the number.
        number = int.from_bytes(hashlib.sha1(speaker.encode()).digest(), "big") % 134_217_728
        percent = 100 * number / 134_217_727
        assert split == ("valid" if percent < 10 else "test" if percent < 20 else "train")
    assert {split_of(f"{speaker}_nohash_1.wav") for speaker in IN_THE_TEST_SET} == {"test"}


def test_words_are_twelve_classes_and_the_test_set_is_the_archive(root, tmp_path):
    report = prepared("speech-commands-v0.01", root, tmp_path / "out")
    assert report["published"]["files"] == {
        "train": {"found": 12, "published": 51_094},
        "valid": {"found": 12, "published": 6_804},
        "test": {"found": 12, "published": 3_081},
    }
    clips = manifest(tmp_path / "out")
    assert clips["yes/0132a06d_nohash_0"] == {
        "path": "audio/speech_commands_v0.01/yes/0132a06d_nohash_0.wav",
        "split": "train",
        "keyword": "yes",
        "speaker": "0132a06d",
    }
    unknown = clips["speech_commands_test_set_v0.01/_unknown_/bed_0a7c2a8d_nohash_0"]
    assert (unknown["keyword"], unknown["speaker"]) == ("_unknown_", "0a7c2a8d")
    assert clips["bed/0132a06d_nohash_0"]["keyword"] == "_unknown_"
    assert clips["speech_commands_test_set_v0.01/_silence_/12"]["keyword"] == "_silence_"
    by_split = Counter((clip["split"], clip["keyword"]) for clip in clips.values())
    assert by_split["train", "_silence_"] == 18
    assert by_split["valid", "_silence_"] == 3
    assert by_split["test", "_silence_"] == 1
    assert {n for (_, word), n in by_split.items() if word in WORDS} == {1}
    assert "ks" in report["tasks"]
    assert "11 audio files without a line or not used" in report["ignored"][0]


def test_every_second_of_noise_is_a_clip_of_its_own(root, tmp_path):
    prepared("speech-commands-v0.01", root, tmp_path / "out")
    noise = root / "speech_commands_v0.01" / "_background_noise_" / "pink_noise.wav"
    samples = noise.read_bytes()[44:]
    cuts = sorted((tmp_path / "out" / "excerpts" / "_silence_").iterdir())
    assert [path.name for path in cuts] == [f"pink_noise-{i:03d}.wav" for i in range(21)]
    assert b"".join(path.read_bytes()[44:] for path in cuts) == samples[: 21 * 2 * SECOND]


def test_without_the_test_set_the_hash_gives_test_clips_and_it_is_said(tmp_path):
    write_words(tmp_path / "speech_commands_v0.02")
    report = prepared("speech-commands-v0.02", tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    assert found(report) == {"train": 12, "valid": 12, "test": 12}
    assert "ks" in report["tasks"]
    remark = report["published"]["remarks"][-1]
    assert "no speech_commands_test_set_v0.02" in remark
    assert "scores do not compare" in remark


def test_damaged_noise_is_quarantined(root, tmp_path):
    noise = root / "speech_commands_v0.01" / "_background_noise_" / "broken.wav"
    noise.write_bytes(b"RIFF")
    report = prepared("speech-commands-v0.01", root, tmp_path / "out")
    assert report["n_quarantined"] == 1
    assert "broken.wav" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_a_folder_without_the_corpus_names_the_archives(root, tmp_path):
    before = tree(tmp_path)
    with pytest.raises(DataError) as caught:
        prepared("speech-commands-v0.02", root, tmp_path / "out")
    assert "no speech_commands_v0.02/*/*_nohash_*.wav and no speech" in str(caught.value)
    assert "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz" in str(caught.value)
    assert tree(tmp_path) == before


def test_superb_runs_on_it(root, tmp_path):
    out = tmp_path / "out"
    main(["prepare", "speech-commands-v0.01", "--root", str(root), "--out", str(out)])
    run = ["superb", "fbank", "--task", "ks", "--data", str(out), "--n-steps", "2", "--lrs", "1e-2"]
    main([*run, "--protocol", "superb", "--out", str(tmp_path / "ks")])
    assert (tmp_path / "ks" / "scores.json").is_file()
