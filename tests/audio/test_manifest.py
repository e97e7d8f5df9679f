import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from earbit.audio.folder import audio_folder
from earbit.audio.manifest import Rejected, Utterance, read_folder, read_manifest
from earbit.errors import DataError

RATE_HZ = 16_000


def write_lines(root, *lines):
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (root / "manifest.jsonl").write_bytes(b"\n".join(data) + b"\n")


@pytest.fixture
def root(tmp_path):
    """A folder with one good file, a.wav, of 800 samples."""
    soundfile.write(tmp_path / "a.wav", np.zeros(800), RATE_HZ)
    return tmp_path


def good(**fields):
    return {"id": "a", "path": "a.wav", "sample_rate": RATE_HZ, "num_samples": 800, **fields}


def test_every_unknown_field_is_kept_as_a_label(root):
    write_lines(root, good(text="hi", slots={"x": ["y", 1]}, something_new=None, duration=0.05))
    (utterance,) = read_manifest(root)
    assert utterance.labels == {"text": "hi", "slots": {"x": ["y", 1]}, "something_new": None}
    assert (utterance.id, utterance.path, utterance.n_samples) == ("a", root / "a.wav", 800)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../a.wav",
        "sub/../../a.wav",
        "..",
        "..\\a.wav",
        "C:\\a.wav",
        "C:a.wav",
        "\\\\host\\a.wav",
    ],
)
def test_a_path_that_leaves_the_folder_stops_everything(root, path):
    write_lines(root, good(), good(id="b", path=path))
    with pytest.raises(DataError, match=r"manifest\.jsonl:2: .*leaves the folder"):
        list(read_manifest(root))


BROKEN = {
    "not json": b'{"id": "b", "path"',
    "not utf-8": b'{"id": "\xff\xfe", "path": "a.wav"}',
    "nested too deep": b"[" * 100_000,
    "not an object": b"[1, 2]",
    "null as id": {"id": None, "path": "a.wav"},
    "empty id": good(id=""),
    "a number as id": good(id=7),
    "no path": {"id": "b"},
    "missing file": good(id="b", path="b.wav"),
    "a folder": good(id="b", path="."),
    "name too long": good(id="b", path="x" * 5_000),
    "other size": good(id="b", bytes=17),
    "duplicate id": good(),
    "alignment of numbers": good(id="b", phone_alignment=[1, 2]),
    "alignment before time": good(id="b", phone_alignment=[["a", -1.0, 0.1]]),
    "alignment of text": good(id="b", phone_alignment=[["a", "0", "1"]]),
    "alignment as object": good(id="b", phone_alignment={"a": 1}),
    "alignment beyond a float": good(id="b", phone_alignment=[["a", 0, 10**400]]),
    "samples beyond a float": good(id="b", num_samples=10**400),
    "half a character as id": good(id="\ud800"),
    "half a character as speaker": good(id="b", speaker="\udcff"),
    "split of another name": good(id="b", split="train-clean-100"),
    "split as list": good(id="b", split=["train"]),
    "speaker as object": good(id="b", speaker={"name": "anna"}),
    "speaker as truth": good(id="b", speaker=True),
    "text as list": good(id="b", text=["hi"]),
    "keyword as number": good(id="b", keyword=1),
    "language as list": good(id="b", lang=["en"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_rejected_by_its_number_and_the_others_are_kept(root, name):
    write_lines(root, good(), b"", BROKEN[name], good(id="last"))
    first, broken, last = read_manifest(root)
    assert isinstance(broken, Rejected)
    assert broken.path == "manifest.jsonl:3"
    assert "\n" not in broken.reason
    assert broken.reason
    assert (first.id, last.id) == ("a", "last")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("dev", "valid"),
        ("validation", "valid"),
        ("valid", "valid"),
        ("eval", "test"),
        ("testing", "test"),
        ("TEST", "test"),
        ("", None),
        (None, None),
    ],
)
def test_a_split_has_our_name_whatever_the_corpus_calls_it(root, theirs, ours):
    write_lines(root, good(split=theirs))
    (utterance,) = read_manifest(root)
    assert utterance.labels == ({} if ours is None else {"split": ours})


def test_the_splits_that_are_allowed_are_named(root):
    write_lines(root, good(split="held-out"))
    (rejected,) = read_manifest(root)
    assert "split 'held-out'; allowed are train, training, valid" in rejected.reason


def test_an_empty_file_is_rejected_without_being_opened(root):
    (root / "b.wav").touch()
    write_lines(root, good(id="b", path="b.wav"))
    (rejected,) = read_manifest(root)
    assert isinstance(rejected, Rejected)


ENCODED = {
    "UTF-16": "utf-16",
    "UTF-32": "utf-32",
    "UTF-16LE": "utf-16-le",
    "UTF-16BE": "utf-16-be",
    "UTF-32LE": "utf-32-le",
    "UTF-32BE": "utf-32-be",
}


@pytest.mark.parametrize("name", ENCODED)
def test_another_unicode_encoding_is_refused_by_its_name_with_the_command_that_converts(root, name):
    text = "\n".join(json.dumps(good(id=str(i))) for i in range(3))
    (root / "manifest.jsonl").write_bytes(text.encode(ENCODED[name]))
    with pytest.raises(DataError, match=f"the encoding is {name}, .*iconv -f {name} -t UTF-8") as e:
        list(read_manifest(root))
    assert "\n" not in str(e.value)


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv")
@pytest.mark.parametrize("name", ENCODED)
def test_the_command_that_converts_does_so(root, name):
    text = "\n".join(json.dumps(good(id=str(i))) for i in range(3))
    (root / "manifest.jsonl").write_bytes(text.encode(ENCODED[name]))
    with pytest.raises(DataError) as error:
        list(read_manifest(root))
    command = str(error.value).split("convert it with: ")[1]
    subprocess.run(["sh", "-c", command], check=True)
    assert [utterance.id for utterance in read_manifest(root)] == ["0", "1", "2"]


@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_first_line(root, breaks):
    lines = [json.dumps(good(id=name, text="grüße"), ensure_ascii=False) for name in ("a", "b")]
    (root / "manifest.jsonl").write_bytes(breaks.join(lines).encode("utf-8-sig"))
    assert [(u.id, u.labels["text"]) for u in read_manifest(root)] == [
        ("a", "grüße"),
        ("b", "grüße"),
    ]


@pytest.mark.parametrize(
    ("claimed", "shown"), [(1, "1"), (-5, "-5"), (399, "399"), (10**400, "above 9007199254740992")]
)
def test_a_length_that_cannot_be_is_held_against_the_file(root, claimed, shown):
    write_lines(root, good(num_samples=claimed))
    (rejected,) = read_manifest(root)
    assert rejected.reason == (
        f"a.wav: `num_samples` is {shown}, the file has 800 samples at 16 kHz; write 800, or leave "
        "the field out"
    )


def test_another_size_names_the_field_and_both_values(root):
    size = (root / "a.wav").stat().st_size
    write_lines(root, good(bytes=17))
    (rejected,) = read_manifest(root)
    assert rejected.reason.startswith(f"a.wav: `bytes` is 17, the file has {size}; write {size}")


def test_line_breaks_of_unicode_do_not_end_a_line(root):
    record = json.dumps(good(text="one\u2028two\x85three"), ensure_ascii=False)
    write_lines(root, record.encode())
    (utterance,) = read_manifest(root)
    assert utterance.labels["text"] == "one\u2028two\x85three"


def test_windows_line_ends_are_read(root):
    (root / "manifest.jsonl").write_bytes(json.dumps(good()).encode() + b"\r\n\r\n")
    (utterance,) = read_manifest(root)
    assert utterance.id == "a"


@pytest.mark.parametrize(
    "fields",
    [{"sample_rate": 8_000, "num_samples": 1}, {"num_samples": None}, {"num_samples": 0.5}],
)
def test_the_file_tells_its_length_where_the_line_does_not(root, fields):
    write_lines(root, good(**fields))
    (utterance,) = read_manifest(root)
    assert utterance.n_samples == 800


def test_audio_is_not_opened_where_the_line_tells_its_length(root):
    (root / "a.wav").write_bytes(b"not audio")
    write_lines(root, good(num_samples=RATE_HZ))
    (utterance,) = read_manifest(root)
    assert utterance.n_samples == RATE_HZ


def test_a_folder_is_searched_to_its_leaves_and_named_by_paths(tmp_path):
    for name in ("b.WAV", "sub/deep/a.flac", "sub/notes.txt", "c.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text") if name.endswith("txt") else soundfile.write(
            path, np.zeros(500), 8_000, format=path.suffix[1:].upper()
        )
    found = list(read_folder(audio_folder(tmp_path)))
    assert [u.id for u in found] == ["b", "c", "sub/deep/a"]
    assert {u.n_samples for u in found} == {1_000}


def test_ids_of_files_that_differ_in_the_suffix_alone_stay_unique(tmp_path):
    names = ("a.flac", "a.flac.wav", "a.wav", "a.wav.flac")
    for name in names:
        soundfile.write(tmp_path / name, np.zeros(500), RATE_HZ)
    found = list(read_folder(audio_folder(tmp_path)))
    assert all(isinstance(item, Utterance) for item in found)
    assert len({u.id for u in found}) == len({u.path for u in found}) == len(names)


def test_a_file_name_that_is_not_utf_8_is_read_and_has_its_bytes_in_the_id(root):
    (root / "b\udcff.wav").write_bytes((root / "a.wav").read_bytes())
    found = list(read_folder(audio_folder(root)))
    assert [(u.id, u.path) for u in found] == [
        ("a", root / "a.wav"),
        (r"b\xff", root / "b\udcff.wav"),
    ]


def test_files_whose_ids_would_be_equal_have_different_ids_or_are_rejected(root):
    for name in (r"b\xff.flac", "b\udcff.wav", r"b\xff.wav"):
        (root / name).write_bytes((root / "a.wav").read_bytes())
    found = list(read_folder(audio_folder(root)))
    assert [u.id for u in found if isinstance(u, Utterance)] == ["a", r"b\xff", r"b\xff.wav"]
    (rejected,) = (item for item in found if isinstance(item, Rejected))
    assert "another file has the id" in rejected.reason


@pytest.mark.parametrize("path", [r"\xff.wav", "\udcff.wav"])
def test_a_line_names_a_file_that_is_not_utf_8_by_its_bytes(root, path):
    (root / "\udcff.wav").write_bytes((root / "a.wav").read_bytes())
    write_lines(root, {"path": path})
    (utterance,) = read_manifest(root)
    assert (utterance.id, utterance.path) == (r"\xff.wav", root / "\udcff.wav")


def test_a_broken_file_of_a_folder_is_rejected_and_the_others_are_kept(root):
    (root / "broken.wav").write_bytes(b"nothing")
    (root / "dangling.wav").symlink_to("nowhere.wav")
    found = list(read_folder(audio_folder(root)))
    assert [i.path for i in found if isinstance(i, Rejected)] == ["broken.wav", "dangling.wav"]
    assert [i.id for i in found if isinstance(i, Utterance)] == ["a"]


def test_the_path_is_the_id_of_a_line_without_one(root):
    write_lines(root, {"path": "a.wav"})
    (utterance,) = read_manifest(root)
    assert (utterance.id, utterance.n_samples) == ("a.wav", 800)


def test_a_line_without_a_path_says_that_it_is_missing(root):
    write_lines(root, {"id": "a", "audio": "a.wav"})
    (rejected,) = read_manifest(root)
    assert "'path' is missing" in rejected.reason
