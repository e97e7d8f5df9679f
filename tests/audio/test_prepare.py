import json

import numpy as np
import pytest
import soundfile

from earbit.audio.prepare import prepare
from earbit.errors import DataError

RATE_HZ = 16_000


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


@pytest.mark.parametrize(
    ("labels", "tasks"),
    [
        ({}, []),
        ({"keyword": "yes"}, ["KS"]),
        ({"text": "a", "phones": "a"}, ["ASR", "PR"]),
        ({"intent": "go", "slots": {"to": "x"}}, ["IC", "SF"]),
        ({"slots": {}, "text": "", "emotion": None}, []),
        ({"emotion": "sad", "segments": [[0, 1, "a"]]}, ["ER", "SD"]),
        ({"speaker": "anna"}, ["ASV", "SID"]),
    ],
)
def test_labels_tell_which_tasks_can_be_run_and_what_the_others_miss(
    write_corpus, tmp_path, labels, tasks
):
    root, _ = write_corpus(n=1, **labels)
    report = prepare(str(root), tmp_path / "out")
    assert report["tasks"] == tasks
    everything = {"KS", "IC", "SF", "ER", "PR", "SD", "ASR", "SID", "ASV"}
    assert set(report["tasks_without_labels"]) == everything - set(tasks)


def test_a_clean_corpus_leaves_no_quarantine(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    prepare(str(root), tmp_path)
    assert not (tmp_path / "quarantine.jsonl").exists()


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
    assert "8000 samples at 16 kHz, the corpus says 16000" in reasons["2.flac"]


def test_silence_and_clipping_are_counted_and_are_no_fault(write_corpus, tmp_path):
    root, _ = write_corpus(n=3)
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    quiet_then_loud = np.concatenate([np.full(RATE_HZ // 2, 5e-4), tone[: RATE_HZ // 2]])
    soundfile.write(root / "0.flac", quiet_then_loud, RATE_HZ)
    soundfile.write(root / "1.flac", np.clip(2 * tone, -1, 1), RATE_HZ)
    report = prepare(str(root), tmp_path / "out")
    assert (report["silence_s"], report["n_clipped"], report["n_quarantined"]) == (0.5, 1, 0)


def test_an_output_folder_that_cannot_be_written_is_named(write_corpus, tmp_path):
    root, _ = write_corpus(n=1)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/out: cannot write there"):
        prepare(str(root), tmp_path / "file" / "out")
