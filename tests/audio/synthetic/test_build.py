import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

from earbit.audio.corpus import decode_all, open_corpus
from earbit.audio.synthetic import build
from earbit.audio.synthetic.build import cache_folder, synthetic_corpus_folder
from earbit.audio.synthetic.contents import SyntheticConfig
from earbit.audio.synthetic.grammar import KEYWORDS, UNKNOWN
from earbit.audio.synthetic.speakers import SPEAKERS, STYLES
from earbit.errors import DataError, UnsupportedError
from earbit.temporary import MACHINE

pytest.importorskip("espeakng_loader")

TINY = SyntheticConfig(sentences_per_speaker=4, clips_per_keyword=1, other_word_clips=1)
LEAST = SyntheticConfig(sentences_per_speaker=1, clips_per_keyword=0, other_word_clips=0)
BUILD = """
from earbit.audio.synthetic.build import synthetic_corpus_folder
from earbit.audio.synthetic.contents import SyntheticConfig
print(synthetic_corpus_folder(SyntheticConfig(
    sentences_per_speaker={0}, clips_per_keyword={1}, other_word_clips={1})))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return synthetic_corpus_folder(TINY)


@pytest.fixture(scope="module")
def corpus(folder):
    return open_corpus(folder)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EARBIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_it_is_a_corpus_without_a_fault(corpus):
    waveforms, decoded = decode_all(corpus)
    assert decoded.quarantine == ()
    assert len(waveforms) == len(SPEAKERS) * (4 + len(KEYWORDS) + 1)
    for waveform in waveforms.values():
        assert 0.02 < np.abs(waveform).max() <= 1
        assert 0.2 < waveform.size / 16_000 < 6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(cache):
    first = synthetic_corpus_folder(LEAST)
    before = content(first)
    first.rename(cache / "moved")
    assert content(synthetic_corpus_folder(LEAST)) == before
    other = content(synthetic_corpus_folder(SyntheticConfig(
        seed=1, sentences_per_speaker=1, clips_per_keyword=0, other_word_clips=0
    )))  # fmt: skip
    assert other.keys() == before.keys()
    assert other["s01/s01-0000.flac"] != before["s01/s01-0000.flac"]


def test_every_configuration_has_a_folder_of_its_own_and_is_made_once(cache, monkeypatch):
    first = synthetic_corpus_folder(LEAST)
    monkeypatch.setattr(build.subprocess, "Popen", None)
    assert synthetic_corpus_folder(LEAST) == first
    with pytest.raises(TypeError):
        synthetic_corpus_folder(TINY)


def test_speakers_are_in_one_split_and_every_class_is_in_all(corpus):
    splits_of = defaultdict(set)
    classes = defaultdict(set)
    for cut in corpus.cuts:
        splits_of[cut.supervisions[0].speaker].add(cut.custom["split"])
        for label in ("keyword", "emotion"):
            if label in cut.custom:
                classes[cut.custom["split"]].add(cut.custom[label])
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert len(splits_of) >= 12
    assert classes.keys() == {"train", "valid", "test"}
    for found in classes.values():
        assert found == {*KEYWORDS, UNKNOWN, *STYLES}


def test_the_default_holds_keywords_enough_for_the_task():
    config = SyntheticConfig(sentences_per_speaker=0)
    assert config.n_clips >= 900


def test_phones_lie_in_order_within_their_clip_and_are_those_of_the_label(corpus):
    for cut in corpus.cuts:
        items = cut.supervisions[0].alignment["phone"]
        assert " ".join(item.symbol for item in items) == cut.custom["phones"]
        assert all(item.duration > 0 for item in items)
        assert items[-1].start + items[-1].duration <= cut.duration + 0.002
        for one, two in itertools.pairwise(items):
            assert two.start >= one.start + one.duration - 0.002


def test_hisses_cross_zero_far_more_often_than_vowels_where_the_alignment_puts_them(corpus, folder):
    """An independent judge of the times: shifted by 0.1 s, the alignment fails it."""

    def crossings_hz(shift_s):
        found = defaultdict(list)
        for cut in corpus.cuts:
            samples, rate_hz = soundfile.read(cut.recording.sources[0].source)
            for item in cut.supervisions[0].alignment["phone"]:
                kind = {"s": "hiss", "z": "", "0": "vowel", "aI": "vowel", "oU": "vowel"}
                start = int((item.start + shift_s) * rate_hz)
                part = samples[start : start + int(item.duration * rate_hz)]
                if len(part) > 400:
                    n_crossings = np.count_nonzero(np.diff(np.signbit(part)))
                    found[kind.get(item.symbol, "")].append(n_crossings / len(part) * rate_hz)
        return np.median(found["hiss"]) / np.median(found["vowel"])

    assert crossings_hz(0.0) > 3
    assert crossings_hz(0.1) < 0.7 * crossings_hz(0.0)


def run_build(cache, *counts):
    command = [sys.executable, "-c", BUILD.format(*counts)]
    environment = {**os.environ, "EARBIT_CACHE": str(cache)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until_nothing_grows(folder):
    """The child of a killed process lives until its next line."""
    n_before = -1
    while (n_files := len(list(folder.rglob("*")))) != n_before:
        n_before = n_files
        time.sleep(0.5)


def test_a_build_that_was_killed_leaves_no_corpus_and_the_next_one_cleans_up(cache):
    killed = run_build(cache, 40, 5)
    deadline_s = time.monotonic() + 30
    while not list(cache.glob(".synthetic-*/s02")) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list(cache.glob("synthetic-*"))
    (left,) = cache.glob(".synthetic-*")
    wait_until_nothing_grows(left)
    made = synthetic_corpus_folder(LEAST)
    assert len(open_corpus(made).cuts) == len(SPEAKERS)
    assert list(cache.iterdir()) == [made]


def test_folders_of_the_living_and_of_other_machines_are_not_removed(cache):
    of_parent = f".synthetic-2-0-x.{MACHINE}.{os.getppid()}.tmp"
    of_another = f".synthetic-2-0-x.not-{MACHINE}.{2**22 + 1}.tmp"
    without_owner = f".synthetic-2-0-x.{MACHINE}.notes.tmp"
    for name in (of_parent, of_another, without_owner):
        (cache / name).mkdir(parents=True)
    made = synthetic_corpus_folder(LEAST)
    left = {path.name for path in cache.iterdir()}
    assert left == {made.name, of_parent, of_another, without_owner}


def test_the_wait_is_told_of_every_clip(tmp_path):
    told = []
    text = json.dumps(asdict(LEAST))
    build._build_in_child(tmp_path, text, lambda: told.append(1))
    assert len(told) == len(list(tmp_path.rglob("*.flac"))) == LEAST.n_clips == len(SPEAKERS)


def test_two_processes_at_once_agree(cache):
    both = [run_build(cache, 1, 0) for _ in range(2)]
    outputs = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(open_corpus(outputs[0]).cuts) == len(SPEAKERS)
    assert [path.name for path in cache.iterdir()] == [os.path.basename(outputs[0])]


def test_without_the_engine_the_error_names_the_extra(cache, tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "espeakng_loader.py").write_text("raise ImportError('hidden')")
    paths = [str(hidden), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    with pytest.raises(
        UnsupportedError, match="install it with: .* -m pip install .*espeakng-loader"
    ):
        synthetic_corpus_folder(LEAST)
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EARBIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file: the cache cannot be written .* EARBIT_CACHE"):
        synthetic_corpus_folder(LEAST)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("EARBIT_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert cache_folder() == tmp_path / "a"
    monkeypatch.delenv("EARBIT_CACHE")
    assert cache_folder() == tmp_path / "b" / "earbit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "c" / ".cache" / "earbit"
