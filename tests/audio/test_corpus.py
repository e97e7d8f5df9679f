import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from earbit.audio.corpus import (
    Corpus,
    add_to_quarantine,
    decode_all,
    load_waveform,
    open_corpus,
    say_ignored,
    write_quarantine,
)
from earbit.audio.manifest import Rejected
from earbit.errors import DataError

RATE_HZ = 16_000
LABELS = {
    "text": "turn left",
    "speaker": "anna",
    "keyword": "left",
    "phones": "l E f t",
    "intent": "move",
    "slots": {"where": "left"},
    "emotion": "happy",
    "split": "train",
    "lang": "en",
    "gender": "f",
    "phone_alignment": [["l", 0.1, 0.05], ["E", 0.15, 0.1]],
}


def rewrite(root, records):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (root / "manifest.jsonl").write_text(lines, encoding="utf-8")


def test_labels_reach_the_supervision_and_custom_fields(write_corpus):
    root, _ = write_corpus(n=1, **LABELS)
    corpus = open_corpus(root)
    (cut,) = corpus.cuts
    (supervision,) = cut.supervisions
    assert (supervision.text, supervision.speaker) == ("turn left", "anna")
    assert (supervision.language, supervision.gender) == ("en", "f")
    items = supervision.alignment["phone"]
    assert [(i.symbol, i.start, i.duration) for i in items] == [("l", 0.1, 0.05), ("E", 0.15, 0.1)]
    names = ("keyword", "phones", "intent", "slots", "emotion", "split")
    assert {name: cut.custom[name] for name in names} == {name: LABELS[name] for name in names}
    assert (corpus.name, corpus.root, corpus.quarantine) == ("corpus", root, ())


@pytest.mark.parametrize(
    ("labels", "speaker"),
    [
        ({"speaker": None, "pseudo_speaker": "c01"}, "c01"),
        ({"speaker": 1088}, "1088"),
        ({"speaker": 0, "pseudo_speaker": "c01"}, "0"),
        ({"speaker": ""}, None),
        ({"speaker": None}, None),
    ],
)
def test_a_speaker_is_a_text_or_a_number_or_unknown(write_corpus, labels, speaker):
    root, _ = write_corpus(n=1, **labels)
    assert open_corpus(root).cuts[0].supervisions[0].speaker == speaker


def test_lhotse_loads_the_same_audio_from_the_cut(write_corpus):
    root, _ = write_corpus(n=1)
    (cut,) = open_corpus(root).cuts
    np.testing.assert_array_equal(cut.load_audio()[0], load_waveform(cut))


def test_the_digest_depends_on_content_and_labels_not_on_place_or_order(write_corpus, tmp_path):
    root, records = write_corpus(text="a")
    digest = open_corpus(root).digest
    assert len(digest) == 64
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    rewrite(moved, records[::-1])
    assert open_corpus(moved).digest == digest
    rewrite(moved, [{**records[0], "text": "b"}, *records[1:]])
    assert open_corpus(moved).digest != digest
    rewrite(moved, [{**records[0], "id": "other"}, *records[1:]])
    assert open_corpus(moved).digest != digest
    rewrite(moved, records)
    soundfile.write(moved / "0.flac", np.zeros(RATE_HZ), RATE_HZ)
    assert open_corpus(moved).digest != digest


@pytest.mark.parametrize(("n_samples", "is_used"), [(1, False), (399, False), (400, True)])
def test_a_clip_without_a_whole_frame_is_left_out(write_corpus, n_samples, is_used):
    root, records = write_corpus(n=1, n_samples=n_samples)
    soundfile.write(root / "long.flac", np.zeros(800), RATE_HZ)
    rewrite(root, [*records, {"id": "long", "path": "long.flac"}])
    corpus = open_corpus(root)
    assert [cut.id for cut in corpus.cuts] == (["clip0", "long"] if is_used else ["long"])
    assert [item.path for item in corpus.quarantine] == ([] if is_used else ["0.flac"])
    for item in corpus.quarantine:
        assert item.reason == (
            f"{root / '0.flac'}: {n_samples} samples at 16 kHz, one frame needs 400 (25 ms); "
            "leave it out"
        )


def test_no_folder_an_empty_one_and_one_of_rubbish_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_corpus(tmp_path / "missing")
    with pytest.raises(DataError, match="no usable audio"):
        open_corpus(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"no usable audio.*1 files.*a\.wav"):
        open_corpus(tmp_path)


@pytest.fixture
def damaged(write_corpus):
    """Six clips; 1 has NaN, 2 is no audio, 3 breaks off, 4 is not as long as the manifest says."""
    root, records = write_corpus(n=6)
    noise = np.random.default_rng(0).normal(size=RATE_HZ).astype("f4") * 0.1
    for i in range(6):
        soundfile.write(root / f"{i}.flac", noise, RATE_HZ)
    bad = noise.copy()
    bad[100] = np.nan
    soundfile.write(root / "1.flac", bad, RATE_HZ, format="WAV", subtype="FLOAT")
    (root / "2.flac").write_bytes(b"x" * 1_000)
    content = (root / "3.flac").read_bytes()
    (root / "3.flac").write_bytes(content[: len(content) // 2])
    soundfile.write(root / "4.flac", noise[:8_000], RATE_HZ)
    return root, records


def test_files_that_prove_broken_only_when_decoded_are_quarantined(damaged):
    root, _ = damaged
    opened = open_corpus(root)
    assert len(opened.cuts) == 6
    done = []
    waveforms, corpus = decode_all(opened, progress=done.append)
    assert sum(done) == 6
    assert list(waveforms) == [cut.id for cut in corpus.cuts] == ["clip0", "clip5"]
    assert {w.dtype for w in waveforms.values()} == {np.dtype("float32")}
    reasons = {item.path: item.reason for item in corpus.quarantine}
    assert list(reasons) == ["1.flac", "2.flac", "3.flac", "4.flac"]
    assert "NaN" in reasons["1.flac"]
    assert "`num_samples` is 16000, the file has 8000 samples" in reasons["4.flac"]


def test_the_digest_counts_out_what_was_quarantined(damaged):
    root, _ = damaged
    opened = open_corpus(root)
    _, first = decode_all(opened)
    _, again = decode_all(open_corpus(root))
    assert first.digest == again.digest != opened.digest


def test_a_corpus_that_decodes_whole_comes_back_as_it_was(write_corpus):
    root, _ = write_corpus()
    opened = open_corpus(root)
    _, corpus = decode_all(opened)
    assert corpus is opened


def test_nothing_that_decodes_is_a_data_error(write_corpus):
    root, _ = write_corpus(n=2)
    for path in root.glob("*.flac"):
        path.write_bytes(b"x" * 1_000)
    with pytest.raises(DataError, match="none of its 2 files can be used"):
        decode_all(open_corpus(root))


def test_the_quarantine_is_a_file_of_json_lines_and_goes_when_all_is_well(damaged, tmp_path):
    root, _ = damaged
    out = tmp_path / "deep" / "out"
    _, corpus = decode_all(open_corpus(root))
    write_quarantine(corpus, out)
    lines = (out / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [f"{i}.flac" for i in (1, 2, 3, 4)]
    assert all(json.loads(line)["reason"] for line in lines)
    write_quarantine(open_corpus(root), out)
    assert not list(out.iterdir())


def test_lists_of_several_corpora_stay_beside_each_other(tmp_path):
    for name in ("one", "two", "one"):
        corpus = Corpus(name, tmp_path / name, CutSet(), (Rejected("a.wav", f"{name}: bad"),), "0")
        add_to_quarantine(corpus, tmp_path)
    entries = list(map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines()))
    assert [(Path(e["corpus"]).name, e["path"], e["reason"]) for e in entries] == [
        ("one", "a.wav", "one: bad"),
        ("two", "a.wav", "two: bad"),
    ]


def test_a_folder_that_cannot_be_written_is_named(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/out: cannot write there"):
        write_quarantine(open_corpus(root), tmp_path / "file" / "out")


def test_a_wrong_length_in_the_manifest_is_not_called_broken_audio(write_corpus):
    root, records = write_corpus(n=2)
    rewrite(root, [{**record, "num_samples": 12_345} for record in records])
    with pytest.raises(DataError) as error:
        decode_all(open_corpus(root))
    message = str(error.value)
    assert "decoded" not in message
    assert "0.flac: `num_samples` is 12345, the file has 16000 samples at 16 kHz" in message
    assert "write 16000, or leave the field out" in message


def test_linked_folders_and_all_readable_suffixes_of_a_folder_are_used(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    (root / "manifest.jsonl").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    formats = {".aif": "AIFF", ".wave": "WAV", ".au": "AU", ".caf": "CAF", ".aiff": "AIFF"}
    noise = np.random.default_rng(0).normal(size=RATE_HZ) * 0.1
    for suffix, name in formats.items():
        soundfile.write(elsewhere / f"x{suffix}", noise, RATE_HZ, format=name, subtype="PCM_16")
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    corpus = open_corpus(root)
    paths = {cut.recording.sources[0].source for cut in corpus.cuts}
    expected = {root / "0.flac", *(root / "linked" / f"x{suffix}" for suffix in formats)}
    assert {Path(path) for path in paths} == expected
    assert corpus.quarantine == ()
    (note,) = corpus.ignored
    assert "linked/back: not followed, " in note
    waveforms, _ = decode_all(corpus)
    assert {w.size for w in waveforms.values()} == {RATE_HZ}


def test_what_looks_like_audio_and_is_not_read_is_counted_with_the_command_that_converts(
    write_corpus, tmp_path, capsys
):
    root, _ = write_corpus(n=1)
    (root / "manifest.jsonl").unlink()
    for name in ("a.m4a", "b.M4A", "c.wma", "notes.txt"):
        (root / name).write_bytes(b"x")
    corpus = open_corpus(root)
    m4a, wma = corpus.ignored
    assert "2 .m4a files not read; convert with: find" in m4a
    assert "ffmpeg" in m4a
    assert "1 .wma file not read" in wma
    say_ignored(corpus)
    said = capsys.readouterr().err
    assert m4a in said
    assert wma in said


def test_a_folder_of_m4a_alone_is_told_what_it_holds_and_how_to_convert_it(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.m4a").write_bytes(b"x")
    with pytest.raises(DataError) as error:
        open_corpus(tmp_path)
    message = str(error.value)
    assert "3 .m4a files not read" in message
    assert "ffmpeg" in message
    assert "rejected" not in message
    assert "\n" not in message


def test_a_table_beside_audio_without_a_manifest_is_named_with_the_command_that_reads_it(
    write_corpus,
):
    root, _ = write_corpus(n=1)
    (root / "labels of clips.csv").write_text("path,keyword\n0.flac,yes\n")
    assert open_corpus(root).ignored == ()
    (root / "manifest.jsonl").unlink()
    (note,) = open_corpus(root).ignored
    assert "labels of clips.csv: not read, labels come from manifest.jsonl (docs/corpus.md)" in note
    command = shlex.split(note.split("make it with: ")[1])
    assert command[:6] == ["earbit", "prepare", "folder", "--root", str(root), "--labels"]
    assert command[6] == str(root / "labels of clips.csv")


def test_resplit_forgets_the_split_and_nothing_else(write_corpus):
    root, _ = write_corpus(n=2, split="test", keyword="yes")
    kept, anew = open_corpus(root), open_corpus(root, resplit=True)
    assert [cut.custom for cut in kept.cuts] == [{"split": "test", "keyword": "yes"}] * 2
    assert [cut.custom for cut in anew.cuts] == [{"keyword": "yes"}] * 2
    assert kept.digest != anew.digest


def test_resplit_of_a_corpus_without_splits_changes_nothing(write_corpus):
    root, _ = write_corpus(n=2)
    assert open_corpus(root, resplit=True).digest == open_corpus(root).digest
