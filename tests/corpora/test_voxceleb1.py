"""VoxCeleb1 in its own layout: {dev,test}/wav/SPEAKER/VIDEO/NUMBER.wav, and lists beside them."""

import pytest
from layouts import found, manifest, prepared, write_wav

from earbit.errors import DataError

DEV, TEST = ("id10001", "id10002", "id10003", "id10004"), ("id10270", "id10271")
FILES = [f"{s}/video/{i:05d}.wav" for s in (*DEV, *TEST) for i in range(1, 5)]
TRIALS = [
    ("1", "id10270/video/00001.wav", "id10270/video/00002.wav"),
    ("0", "id10270/video/00001.wav", "id10271/video/00001.wav"),
]


def folder_of(file):
    return "dev" if file.startswith(DEV) else "test"


def splits_list(line_end="\n"):
    """Of every speaker, file 1 is for validation, file 2 for testing and the others train."""
    number = {"00001.wav": 2, "00002.wav": 3}
    return "".join(f"{number.get(f[-9:], 1)} {f}{line_end}" for f in FILES)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "VoxCeleb1"
    for i, file in enumerate(FILES):
        write_wav(root / folder_of(file) / "wav" / file, hz=200 + 20 * i)
    (root / "iden_split.txt").write_text(splits_list())
    (root / "voxceleb1_test_v2.txt").write_text("".join(" ".join(t) + "\n" for t in TRIALS))
    return root


def test_identification_has_the_splits_of_the_list_and_all_speakers_in_each(root, tmp_path):
    report = prepared("voxceleb1", root, tmp_path / "out")["parts"]["sid"]
    lines = manifest(tmp_path / "out" / "sid")
    assert lines["id10270/video/00002.wav"] == {
        "path": "audio/test/wav/id10270/video/00002.wav",
        "speaker": "id10270",
        "split": "test",
    }
    assert lines["id10001/video/00003.wav"]["path"] == "audio/dev/wav/id10001/video/00003.wav"
    assert found(report) == {"train": 12, "valid": 6, "test": 6}
    published = {split: n["published"] for split, n in report["published"]["files"].items()}
    assert published == {"train": 138_361, "valid": 6_904, "test": 8_251}
    assert "sid" in report["tasks"]


def test_verification_trains_on_dev_and_tests_on_the_trials(root, tmp_path):
    report = prepared("voxceleb1", root, tmp_path / "out")["parts"]["asv"]
    lines = manifest(tmp_path / "out" / "asv")
    assert {line["speaker"] for line in lines.values() if line["split"] == "train"} == {*DEV}
    assert {line["speaker"] for line in lines.values() if line["split"] == "test"} == {*TEST}
    assert (tmp_path / "out" / "asv" / "trials.txt").read_text().splitlines() == [
        f"{match} audio/test/wav/{a} audio/test/wav/{b}" for match, a, b in TRIALS
    ]
    assert "asv" in report["tasks"]


@pytest.mark.parametrize("trials", ["veri_test2.txt", "veri_test.txt"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_other_names_line_ends_of_windows_and_a_mark_change_nothing(root, tmp_path, trials, mark):
    prepared("voxceleb1", root, tmp_path / "one")
    (root / "iden_split.txt").unlink()
    (root / "veri_test_class.txt").write_bytes(mark + splits_list("\r\n").encode())
    (root / "voxceleb1_test_v2.txt").rename(root / trials)
    prepared("voxceleb1", root, tmp_path / "two")
    for part in ("sid", "asv"):
        assert manifest(tmp_path / "one" / part) == manifest(tmp_path / "two" / part)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("iden_split.txt", None, "no iden_split.txt and no veri_test_class.txt; one of them"),
        ("iden_split.txt", "4 id10001/video/00001.wav\n", r"iden_split.txt:1: .*1, 2 or 3"),
        ("iden_split.txt", "1 id10001/video/00001.m4a\n", "iden_split.txt:1"),
        ("iden_split.txt", "", "iden_split.txt: empty"),
        ("iden_split.txt", splits_list() + splits_list()[:26], "two clips have the id"),
        ("voxceleb1_test_v2.txt", None, "voxceleb1_test_v2.txt and no veri_test2.txt"),
        ("voxceleb1_test_v2.txt", "2 id10270/video/00001.wav x\n", "voxceleb1_test_v2.txt:1"),
    ],
)
def test_a_missing_or_damaged_list_is_one_line_and_nothing_is_written(
    root, tmp_path, name, content, problem
):
    (root / name).unlink()
    if content is not None:
        (root / name).write_text(content)
    with pytest.raises(DataError, match=problem) as error:
        prepared("voxceleb1", root, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_missing_and_empty_audio_is_counted(root, tmp_path):
    (root / "dev" / "wav" / FILES[0]).unlink()
    (root / "dev" / "wav" / FILES[3]).write_bytes(b"")
    report = prepared("voxceleb1", root, tmp_path / "out")["parts"]["sid"]
    assert report["published"]["n_missing"] == 1
    assert report["n_quarantined"] == 1
    assert found(report) == {"train": 11, "valid": 5, "test": 6}
