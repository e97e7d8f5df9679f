"""Shards hold the files of a corpus as they are, and Lhotse reads them."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from audio_bytes import LOSSY, RATE_HZ
from lhotse import CutSet

from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.prepare import prepare
from earbit.audio.training_corpus import open_clips
from earbit.errors import ConfigError, DataError

PHONES = [["a", 0, 1], ["b", 1, 0.5]]
FILES = {
    "mono.flac": (RATE_HZ, 1, {"text": "one", "speaker": 7, "split": "train"}),
    "two channels.wav": (RATE_HZ, 2, {"phone_alignment": PHONES, "pseudo_speaker": "x"}),
    "low.wav": (8_000, 1, {"lang": "de", "intent": ["a", "b"], "segments": [[0, 1.5, "x"]]}),
    "high.flac": (44_100, 2, {"keyword": None, "split": "valid"}),
    "lossy.mp3": (RATE_HZ, 1, {"gender": "f"}),
    "long name " + "x" * 150 + ".wav": (RATE_HZ, 1, {"text": "é\n"}),
}


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    (root / "a").mkdir(parents=True)
    lines = []
    for seed, (name, (rate_hz, n_channels, labels)) in enumerate(FILES.items()):
        samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (rate_hz, n_channels))
        soundfile.write(root / "a" / name, samples, rate_hz, **LOSSY.get(name[-5:], {}))
        lines.append({"path": f"a/{name}", "id": f"a/{seed}.é", **labels})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def by_id(root):
    corpus = open_corpus(root)
    return {cut.id: (load_waveform(cut), cut.custom) for cut in corpus.cuts}, corpus


def test_shards_have_the_samples_the_labels_and_the_digest_of_the_corpus(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.audio.shard_folder.MIN_SHARD_MB", 0.0)
    report = prepare(str(corpus), tmp_path / "out", tasks={}, shard_mb=0.05)
    shards = tmp_path / "out" / "shards"
    n_shards = len(list(shards.glob("recording.*.tar")))
    assert 1 < n_shards == report["shards"]["n_shards"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.json", "shards"]
    (before, opened), (after, of_shards) = by_id(corpus), by_id(shards)
    assert of_shards.digest == opened.digest == report["shards"]["digest"]
    assert of_shards.quarantine == ()
    assert before.keys() == after.keys()
    for name, (waveform, labels) in before.items():
        np.testing.assert_array_equal(after[name][0], waveform)
        assert after[name][1] == labels
    streamed, whole = open_clips(shards), open_clips(corpus)
    assert list(streamed.train.ids) == list(whole.train.ids)
    assert list(streamed.valid.ids) == list(whole.valid.ids)


def test_lhotse_reads_the_shards(corpus, tmp_path):
    prepare(str(corpus), tmp_path / "out", tasks={}, shard_mb=1)
    read = {cut.id: cut for cut in CutSet.from_shar(in_dir=tmp_path / "out" / "shards")}
    for seed, (name, (rate_hz, n_channels, labels)) in enumerate(FILES.items()):
        cut = read[f"a/{seed}.é"]
        samples, _ = soundfile.read(corpus / "a" / name, dtype="float32", always_2d=True)
        assert cut.load_audio().shape[0] == n_channels
        assert cut.sampling_rate == rate_hz
        if not name.endswith("mp3"):
            np.testing.assert_array_equal(cut.load_audio(), samples.T)
        assert cut.supervisions[0].text == labels.get("text")


def test_shards_of_shards_and_of_parts_of_files_have_the_same_samples(corpus, tmp_path):
    prepare(str(corpus), tmp_path / "one", tasks={}, shard_mb=1)
    cuts = CutSet.from_shar(in_dir=tmp_path / "one" / "shards").to_eager()
    prepare(str(tmp_path / "one" / "shards"), tmp_path / "two", tasks={}, shard_mb=1)
    (before, opened), (after, again) = by_id(corpus), by_id(tmp_path / "two" / "shards")
    assert again.digest == opened.digest
    assert all((after[name][0] == waveform).all() for name, (waveform, _) in before.items())
    # Of the mono file a part of 16 bits, of the file at 8 kHz one that is resampled.
    folder = tmp_path / "parts"
    folder.mkdir()
    lines = []
    for seed in (0, 2):
        name = list(FILES)[seed]
        cut = next(cut for cut in cuts if cut.id == f"a/{seed}.é").to_dict()
        cut["recording"]["sources"] = [
            {"type": "file", "channels": [0], "source": str(corpus / "a" / name)}
        ]
        lines.append(json.dumps(cut | {"start": 0.25, "duration": 0.5}, default=str) + "\n")
    (folder / "cuts.jsonl").write_text("".join(lines))
    prepare(str(folder), tmp_path / "three", tasks={}, shard_mb=1)
    (before, _), (after, _) = by_id(folder), by_id(tmp_path / "three" / "shards")
    assert len(before) == 2
    for name, (waveform, _) in before.items():
        assert waveform.size == RATE_HZ // 2
        np.testing.assert_array_equal(after[name][0], waveform)


def test_shards_lack_damaged_files_and_replace_earlier_ones(corpus, tmp_path):
    out = tmp_path / "out"
    prepare(str(corpus), out, tasks={}, shard_mb=1)
    (out / ".shards.another-machine.1.tmp").mkdir()  # of a killed process
    path = corpus / "a" / "mono.flac"
    path.write_bytes(path.read_bytes()[:-999])
    report = prepare(str(corpus), out, tasks={}, shard_mb=1)
    found, _ = by_id(out / "shards")
    assert len(found) == len(FILES) - 1
    assert report["n_quarantined"] == 1
    names = ["manifest.json", "quarantine.jsonl", "shards"]
    assert sorted(p.name for p in out.iterdir()) == names


def test_a_failure_leaves_the_earlier_shards(corpus, tmp_path, monkeypatch):
    out = tmp_path / "out"
    prepare(str(corpus), out, tasks={}, shard_mb=1)
    before = {p.name: p.read_bytes() for p in (out / "shards").iterdir()}

    def fails(utterance):
        raise DataError("gone")

    monkeypatch.setattr("earbit.audio.shards._bytes_of", fails)
    with pytest.raises(DataError, match="^gone$"):
        prepare(str(corpus), out, tasks={}, shard_mb=1)
    assert {p.name: p.read_bytes() for p in (out / "shards").iterdir()} == before
    assert not list(out.glob(".shards*"))


def test_the_same_corpus_gives_the_same_bytes(corpus, tmp_path):
    for name in ("one", "two"):
        prepare(str(corpus), tmp_path / name, tasks={}, shard_mb=1)
    one, two = (sorted((tmp_path / name / "shards").iterdir()) for name in ("one", "two"))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_too_small_shards_are_refused_before_decoding(corpus, tmp_path):
    shutil.rmtree(corpus / "a")
    with pytest.raises(ConfigError, match="shards=0.5; allowed: 1.0 <= shards"):
        prepare(str(corpus), tmp_path / "out", tasks={}, shard_mb=0.5)


def test_a_corpus_in_the_folder_of_the_shards_is_refused_and_kept(corpus, tmp_path):
    out = tmp_path / "out"
    prepare(str(corpus), out, tasks={}, shard_mb=1)
    shards = out / "shards"
    before = {p.name: p.read_bytes() for p in shards.iterdir()}
    (tmp_path / "link").symlink_to(shards)
    for root in (shards, shards / "cuts.000000.jsonl.gz", tmp_path / "link"):
        with pytest.raises(ConfigError, match="holds the corpus, and --shards writes there"):
            prepare(str(root), out, tasks={}, shard_mb=1)
    assert {p.name: p.read_bytes() for p in shards.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "report", "reason"),
    [
        ("notes.txt", '{"corpus": "a", "digest": "b", "n_utterances": 1}', "other files (notes"),
        ("recording.000000.tar", None, "has no manifest.json of earbit prepare"),
        ("recording.000000.tar", "{}", "has no manifest.json of earbit prepare"),
    ],
)
def test_shards_of_others_are_refused_before_decoding_and_kept(
    corpus, tmp_path, name, report, reason
):
    shutil.rmtree(corpus / "a")
    path = tmp_path / "out" / "shards" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    if report is not None:
        (tmp_path / "out" / "manifest.json").write_text(report)
    with pytest.raises(ConfigError) as error:
        prepare(str(corpus), tmp_path / "out", tasks={}, shard_mb=1)
    assert reason in str(error.value)
    assert path.read_text() == "mine"


def test_a_silent_clip_of_shards_is_named_like_a_file(corpus, tmp_path):
    soundfile.write(corpus / "a" / "mono.flac", np.zeros(RATE_HZ), RATE_HZ)
    prepare(str(corpus), tmp_path / "one", tasks={}, shard_mb=1)
    report = prepare(str(tmp_path / "one" / "shards"), tmp_path / "two", tasks={})
    (silent,) = report["silent_files"]
    assert silent["path"] == str(
        tmp_path / "one" / "shards" / "recording.000000.tar" / "a" / "0.é.flac"
    )
    assert silent["reason"] == "silence: all samples are 0"
