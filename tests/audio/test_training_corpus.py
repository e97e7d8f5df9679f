"""A corpus that is opened line by line equals the one that is opened with all its cuts."""

import dataclasses
import json
import random
import tracemalloc

import numpy as np
import pytest
import soundfile

from earbit.audio.clips import read_clip
from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.training_corpus import open_clips
from earbit.audio.training_split import Parts, training_split
from earbit.errors import DataError

RATE_HZ = 16_000

SPLITS = {
    "no splits": [None],
    "train alone": ["train"],
    "train and none": ["train", None],
    "valid and none": ["valid", None, None],
    "all": ["train", "valid", "test", "train"],
}


@pytest.fixture
def corpus(tmp_path):
    def write(splits, n=60):
        for i in range(2):
            soundfile.write(tmp_path / f"m{i:02d}.wav", 0.1 * np.sin(np.arange(4_000 + i)), RATE_HZ)
        lines = []
        for i in range(n):
            split = splits[i % len(splits)]
            lines.append({"path": f"m{i % 2:02d}.wav", "id": f"é{i * 37 % 101:03d}"})
            lines[-1] |= {"text": f"word {i}"} | ({"split": split} if split else {})
        lines.append({"path": "missing.wav"})
        random.Random(0).shuffle(lines)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "manifest.jsonl").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("resplit", [False, True])
@pytest.mark.parametrize("n", [4, 60])
def test_digest_split_and_quarantine_are_those_of_the_corpus_in_memory(corpus, splits, resplit, n):
    root = corpus(splits, n)
    opened = open_corpus(root, resplit=resplit)
    found = open_clips(root, resplit=resplit)
    assert found.digest == opened.digest
    assert found.quarantine == opened.quarantine
    assert found.name == opened.name
    train, valid = training_split(opened)
    assert list(found.train) == list(train)
    assert list(found.valid) == list(valid)
    assert list(found.train.ids) == sorted(found.train.ids)


def test_clips_are_found_by_id_and_read_like_cuts(corpus):
    root = corpus([None], 12)
    found = open_clips(root)
    for cut in open_corpus(root).cuts:
        table = found.train if cut.id in found.train.ids else found.valid
        clip = table.named(cut.id)
        assert (read_clip(clip) == load_waveform(cut)).all()
    with pytest.raises(DataError, match="no clip with the id 'zz'"):
        found.train.named("zz")


def test_a_corpus_without_clips_to_validate_is_refused_like_the_one_in_memory(corpus):
    root = corpus(["test"])
    with pytest.raises(DataError) as of_streamed:
        open_clips(root)
    opened = open_corpus(root)
    with pytest.raises(DataError) as of_memory:
        training_split(dataclasses.replace(opened, name=root.name))
    assert str(of_streamed.value).startswith(str(of_memory.value))
    assert "missing.wav" in str(of_streamed.value)  # and the number of unusable files


def test_a_clip_of_a_table_takes_few_bytes():
    n_clips = 8_000
    tracemalloc.start()
    try:
        parts = Parts()
        for i in range(n_clips):
            name = f"{i // 100:04d}-{i * 7919 % 100_003:06d}-{i:06d}"
            parts.add(name, 16_000 + i % 999, f"/corpora/speech/train/{name}.flac", None)
        tables = parts.tables("made")
        del parts
        n_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, tables)) == n_clips
    # The text of a clip alone has 60 characters, and a string of it 110 bytes.
    assert n_bytes / n_clips < 40
