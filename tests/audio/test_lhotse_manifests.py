"""Manifests and shards that Lhotse writes give the samples that Lhotse reads."""

import gzip
import json
import os

import numpy as np
import pytest
import soundfile
from audio_bytes import RATE_HZ
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.supervision import AlignmentItem

from earbit.audio.clips import clip_of, read_clip
from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.training_corpus import open_clips
from earbit.errors import DataError


def noise(n_samples, n_channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n_samples, n_channels)).astype("f4")


@pytest.fixture
def sound(tmp_path):
    """A mono and a stereo recording of 10 s at 16 kHz, below the folder of the manifests."""
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "mono.flac", noise(160_000), RATE_HZ)
    soundfile.write(tmp_path / "audio" / "stereo.wav", noise(160_000, 2, 1), RATE_HZ)
    return tmp_path


def recordings(root):
    return [
        Recording.from_file(root / "audio" / name, recording_id=name)
        for name in ("mono.flac", "stereo.wav")
    ]


def supervisions():
    phones = [AlignmentItem("a", 1.25, 0.5), AlignmentItem("b", 1.75, 0.5)]
    return [
        SupervisionSegment("s0", "mono.flac", 1.0, 2.0, text="one two", speaker="anna"),
        SupervisionSegment("s1", "mono.flac", 0.5, 3.3, alignment={"phone": phones}, gender="f"),
        SupervisionSegment("s2", "stereo.wav", 4.0, 2.5, channel=1, text="three", language="de"),
    ]


def cuts(root):
    """Parts of long recordings, by supervision, each with the audio that Lhotse reads."""
    given = CutSet.from_manifests(
        RecordingSet.from_recordings(recordings(root)),
        SupervisionSet.from_segments(supervisions()),
    )
    return given.trim_to_supervisions(keep_overlapping=False)


def read(root):
    corpus = open_corpus(root)
    return {cut.id: (cut, load_waveform(cut)) for cut in corpus.cuts}, corpus


def check(found, expected):
    assert found.keys() == {cut.id for cut in expected}
    for cut in expected:
        np.testing.assert_allclose(found[cut.id][1], cut.load_audio().mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["cuts.jsonl.gz", "my_cuts.jsonl"])
def test_cuts_inside_long_recordings_are_the_samples_that_lhotse_reads(sound, name):
    expected = cuts(sound).to_eager()
    expected.to_file(sound / name)
    found, corpus = read(sound)
    check(found, expected)
    assert corpus.quarantine == ()
    by_file, _ = read(sound / name)
    assert by_file.keys() == found.keys()
    labels = {cut.supervisions[0].id: found[cut.id][0].custom for cut in expected}
    assert labels["s0"] == {"text": "one two", "speaker": "anna"}
    assert labels["s2"] == {"text": "three", "lang": "de"}
    phones = {cut.supervisions[0].id: found[cut.id][0].supervisions[0] for cut in expected}
    assert [tuple(i)[:3] for i in phones["s1"].alignment["phone"]] == [
        ("a", 0.75, 0.5),
        ("b", 1.25, 0.5),
    ]
    table = open_clips(sound)
    assert table.digest == corpus.digest
    for clip in (*table.train, *table.valid):
        np.testing.assert_array_equal(read_clip(clip), found[clip.id][1])


def test_recordings_with_supervisions_are_cut_by_supervision(sound):
    RecordingSet.from_recordings(recordings(sound)).to_file(sound / "x_recordings_train.jsonl.gz")
    segments = SupervisionSet.from_segments(supervisions())
    segments.to_file(sound / "x_supervisions_train.jsonl.gz")
    found, _ = read(sound)
    by_supervision = {cut.supervisions[0].id: cut.load_audio()[0] for cut in cuts(sound)}
    assert found.keys() == by_supervision.keys()
    for name, (cut, waveform) in found.items():
        np.testing.assert_allclose(waveform, by_supervision[name], atol=1e-6)
        assert cut.custom["split"] == "train"
    phones = found["s1"][0].supervisions[0].alignment["phone"]
    assert [tuple(item)[:3] for item in phones] == [("a", 0.75, 0.5), ("b", 1.25, 0.5)]


def test_recordings_alone_are_whole_files(sound):
    RecordingSet.from_recordings(recordings(sound)).to_file(sound / "recordings.jsonl.gz")
    found, _ = read(sound)
    assert {name: w.size for name, (_, w) in found.items()} == {
        "mono.flac": 160_000,
        "stereo.wav": 160_000,
    }
    stereo, _ = soundfile.read(sound / "audio" / "stereo.wav", dtype="float32")
    np.testing.assert_allclose(found["stereo.wav"][1], stereo.mean(axis=1), atol=1e-6)


def test_relative_paths_are_those_of_the_manifest_and_then_of_the_working_directory(
    sound, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(sound)
    relative = [
        Recording.from_file(os.path.relpath(r.sources[0].source), recording_id=r.id)
        for r in recordings(sound)
    ]
    elsewhere = tmp_path_factory.mktemp("manifests")
    for folder in (sound, elsewhere):
        RecordingSet.from_recordings(relative).to_file(folder / "recordings.jsonl.gz")
        assert read(folder)[0].keys() == {"mono.flac", "stereo.wav"}
    monkeypatch.chdir("/")
    assert read(sound)[0].keys() == {"mono.flac", "stereo.wav"}
    with pytest.raises(DataError, match="mono.flac: audio/mono.flac: no such file in"):
        read(elsewhere)


@pytest.mark.parametrize("kind", ["flac", "wav"])
def test_shards_of_lhotse_are_read_in_any_order(sound, kind):
    expected = cuts(sound).to_eager()
    folder = sound / "shards"
    folder.mkdir()
    expected.to_shar(folder, fields={"recording": kind}, shard_size=2, warn_unused_fields=False)
    assert len(list(folder.glob("*.tar"))) == 2
    found, corpus = read(folder)
    check(found, expected)
    assert corpus.quarantine == ()
    for _, (cut, waveform) in reversed(found.items()):
        clip = clip_of(cut)
        np.testing.assert_array_equal(read_clip(clip, 500, 800), waveform[500:1300])


def lines_of(sound):
    cuts(sound).to_eager().to_file(sound / "cuts.jsonl")
    return [json.loads(line) for line in (sound / "cuts.jsonl").read_text().splitlines()]


BAD = {
    "mixed": (lambda cut: cut.update(type="MixedCut"), "a MixedCut; only MonoCut and MultiCut"),
    "no recording": (lambda cut: cut.pop("recording"), "a cut without a recording"),
    "command": (
        lambda cut: cut["recording"]["sources"][0].update(type="command", source="touch x"),
        "its audio is a command; only files are read",
    ),
    "transforms": (
        lambda cut: cut["recording"].update(transforms=[{"name": "Speed"}]),
        "has transforms, which are not applied",
    ),
    "too long": (lambda cut: cut.update(duration=99.0), "of 160000 samples; correct `start`"),
    "channel": (lambda cut: cut.update(channel=5), "channel 5 is not in its recording"),
    "rate": (lambda cut: cut["recording"].update(sampling_rate="x"), "`sampling_rate` of its"),
    "not finite": (lambda cut: cut.update(start=float("nan")), "`start` is nan; seconds"),
    "split": (lambda cut: cut.update(custom={"split": "mine"}), "split 'mine'; allowed are"),
    "phones": (
        lambda cut: cut["supervisions"][0].update(alignment={"phone": [["a", "x", 1]]}),
        "phone_alignment is not a list",
    ),
    "id": (lambda cut: cut.update(id="a\0b"), "has a zero byte"),
}


@pytest.mark.parametrize(("change", "reason"), BAD.values(), ids=BAD)
def test_a_cut_that_cannot_be_read_is_quarantined_with_the_reason(sound, change, reason):
    lines = lines_of(sound)
    change(lines[1])
    (sound / "cuts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found, corpus = read(sound)
    assert found.keys() == {lines[0]["id"], lines[2]["id"]}
    (rejected,) = corpus.quarantine
    assert rejected.path == "cuts.jsonl:2"
    assert reason in rejected.reason


@pytest.mark.parametrize("line", ["3", "[]", "{}", '{"id": 3}', '{"id": "x", "recording": 3}', "{"])
def test_hostile_lines_are_quarantined(sound, line):
    good = json.dumps(lines_of(sound)[0])
    (sound / "cuts.jsonl").write_text(f"{line}\n{good}\n{good}\n")
    found, corpus = read(sound)
    assert len(found) == 1
    assert [r.path for r in corpus.quarantine] == ["cuts.jsonl:1", "cuts.jsonl:3"]
    assert "is taken by an earlier cut" in corpus.quarantine[1].reason


def test_a_manifest_that_breaks_off_keeps_its_first_cuts(sound):
    lines = [json.dumps(line) + "\n" for line in lines_of(sound)]
    (sound / "cuts.jsonl").unlink()
    whole = gzip.compress("".join(lines).encode())
    (sound / "cuts.jsonl.gz").write_bytes(whole[:-9])
    _, corpus = read(sound)
    assert len(corpus.cuts) == 3
    assert "cuts.jsonl.gz" in corpus.quarantine[0].path
    assert "cannot be read after line 3" in corpus.quarantine[0].reason


def test_a_missing_and_a_truncated_archive_lose_their_clips_alone(sound):
    folder = sound / "shards"
    folder.mkdir()
    fields = {"recording": "flac"}
    cuts(sound).to_shar(folder, fields=fields, shard_size=1, warn_unused_fields=False)
    (folder / "recording.000000.tar").unlink()
    third = folder / "recording.000002.tar"
    third.write_bytes(third.read_bytes()[:3_000])
    found, corpus = read(folder)
    assert len(found) == 1
    missing, truncated = (r.reason for r in corpus.quarantine)
    assert "not in recording.000000.tar, which cannot be read" in missing
    assert "not in recording.000002.tar" in truncated
