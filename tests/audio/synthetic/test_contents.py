"""Voices, queries and mixtures; most claims are about labels and need no speech."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from earbit.audio.corpus import Corpus, decode_all, open_corpus
from earbit.audio.synthetic import contents
from earbit.audio.synthetic.contents import MIXTURES, QUERY_WORDS, SyntheticConfig, lines_of
from earbit.audio.synthetic.speakers import SPEAKERS, many_speakers
from earbit.audio.synthetic.speech import Utterance
from earbit.superb.search import searches_of

BUILD = """
import sys
from pathlib import Path
from earbit.audio.synthetic import contents, speakers
from earbit.audio.synthetic.build import build
contents.SENTENCES_PER_VOICE = 1
contents.DOCUMENTS_PER_SPEAKER = 1
contents.QUERY_WORDS = ("light",)
contents.MIXTURES = {"train": 2, "valid": 1, "test": 1}
build(Path(sys.argv[1]), contents.SyntheticConfig(contents=sys.argv[2]))
"""
SAMPLE_RATE_HZ = 16_000


@pytest.fixture
def silent(monkeypatch):
    """Clips are not spoken: their labels are returned as they are."""

    def write(engine, folder, speaker, name, style, labels, random):
        return {"id": name, "speaker": speaker.name, "split": speaker.split, **labels}

    monkeypatch.setattr(contents, "write_utterance", write)
    return lambda kind, seed=0: list(
        lines_of(SyntheticConfig(contents=kind, seed=seed), None, Path())
    )


@pytest.fixture
def mixtures(monkeypatch):
    """Mixtures of constants for speech: a sample is the number of speakers who speak."""

    def utterance(engine, speaker, text, style, random):
        return Utterance(np.ones(round(random.uniform(0.7, 3) * SAMPLE_RATE_HZ), np.float32), [])

    def write(folder, group, name, audio, labels):
        return {"id": name, "audio": audio, **labels}

    monkeypatch.setattr(contents, "utterance", utterance)
    monkeypatch.setattr(contents, "in_a_room", lambda audio, random: audio)
    monkeypatch.setattr(contents, "write_clip", write)
    return list(lines_of(SyntheticConfig(contents="mixtures"), None, Path()))


def test_there_are_forty_speakers_of_different_voices_in_disjoint_splits():
    speakers = many_speakers()
    assert speakers == many_speakers()
    assert len({s.name for s in speakers}) == 40
    assert len({s.voice.split("+")[1] for s in speakers}) == 40
    assert Counter(s.split for s in speakers) == {"train": 24, "valid": 8, "test": 8}
    for split in ("train", "valid", "test"):
        genders = Counter(s.gender for s in speakers if s.split == split)
        assert genders["f"] >= 1
        assert genders["m"] >= 1


@pytest.mark.parametrize("kind", ["clips", "voices", "queries"])
def test_a_corpus_has_as_many_clips_as_its_configuration_says_each_with_a_name(silent, kind):
    lines = silent(kind)
    assert len(lines) == SyntheticConfig(contents=kind).n_clips
    assert len({line["id"] for line in lines}) == len(lines)
    split_of = defaultdict(set)
    for line in lines:
        split_of[line["speaker"]].add(line["split"])
    assert all(len(splits) == 1 for splits in split_of.values())
    assert set().union(*split_of.values()) == {"train", "valid", "test"}


def test_mixtures_are_as_many_as_the_configuration_says(mixtures):
    assert len(mixtures) == SyntheticConfig(contents="mixtures").n_clips
    assert Counter(line["split"] for line in mixtures) == MIXTURES


def test_every_voice_says_ten_different_commands(silent):
    texts = defaultdict(set)
    for line in silent("voices"):
        texts[line["speaker"]].add(line["text"])
    assert len(texts) == 40
    assert min(map(len, texts.values())) >= 6


@pytest.mark.parametrize("seed", [0, 1])
def test_every_query_is_a_word_of_some_documents_and_of_few(silent, seed):
    cuts = [SimpleNamespace(id=line["id"], custom=line) for line in silent("queries", seed)]
    searches = searches_of(Corpus("queries", Path(), cuts, (), "digest"))
    for search in searches.values():
        assert len(search.queries) == 3 * len(QUERY_WORDS)
        assert len(search.documents) == 100
        found = Counter(term for terms in search.documents.values() for term in terms)
        n_without = sum(not found[term] for term in set(search.queries.values()))
        assert n_without <= 2
        assert max(found[term] for term in search.queries.values()) < 40
    assert not set(searches["valid"].queries) & set(searches["test"].queries)


def test_queries_are_said_by_other_speakers_than_documents(silent):
    asked = {line["speaker"] for line in silent("queries") if "query" in line}
    said = {line["speaker"] for line in silent("queries") if "query" not in line}
    assert asked == {s.name for s in SPEAKERS if s.split != "train"}
    assert not asked & said


def test_the_segments_of_a_mixture_are_where_its_speakers_speak(mixtures):
    for line in mixtures:
        n_speaking = np.zeros(len(line["audio"]))
        for start_s, end_s, _ in line["segments"]:
            first, last = (round(s * SAMPLE_RATE_HZ) for s in (start_s, end_s))
            assert 0 <= first < last <= len(n_speaking) + 16
            n_speaking[first:last] += 1
        # Times are rounded to milliseconds, 8 samples to each side of an edge.
        assert np.count_nonzero(n_speaking != line["audio"]) <= 16 * 2 * len(line["segments"])


def test_a_mixture_has_two_speakers_of_its_split_who_take_turns_and_sometimes_overlap(mixtures):
    split_of = {speaker.name: speaker.split for speaker in many_speakers()}
    n_overlapped = 0
    for line in mixtures:
        names = [name for _, _, name in line["segments"]]
        assert len(set(names)) == 2
        assert names == names[:2] * 2
        assert {split_of[name] for name in names} == {line["split"]}
        n_overlapped += bool((line["audio"] > 1).any())
    assert 0.3 * len(mixtures) < n_overlapped < len(mixtures)


def test_nobody_overlaps_with_themselves(mixtures):
    for line in mixtures:
        own = defaultdict(list)
        for start_s, end_s, name in line["segments"]:
            own[name].append((start_s, end_s))
        for (_, end_s), (start_s, _) in own.values():
            assert start_s >= end_s


@pytest.mark.parametrize(("kind", "n_clips"), [("queries", 16), ("mixtures", 4)])
def test_what_is_built_is_a_corpus_without_a_fault(tmp_path, kind, n_clips):
    pytest.importorskip("espeakng_loader")
    command = [sys.executable, "-c", BUILD, str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == n_clips
    waveforms, corpus = decode_all(open_corpus(tmp_path))
    assert corpus.quarantine == ()
    assert len(waveforms) == n_clips
    for waveform in waveforms.values():
        assert 0.02 < np.abs(waveform).max() <= 1
    lines = map(json.loads, (tmp_path / "manifest.jsonl").read_text().splitlines())
    if kind == "mixtures":
        for line in lines:
            assert max(end_s for _, end_s, _ in line["segments"]) <= line["duration"] + 1e-3
            assert len({name for _, _, name in line["segments"]}) == 2
