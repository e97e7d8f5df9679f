"""Units clip by clip: bounded memory, fractions, worker processes, ranks, unreadable clips."""

import dataclasses
import re

import numpy as np
import pytest
from language import (
    WAVEFORMS,
    discovered,
    hidden,
    table,
)
from sklearn.cluster import KMeans

from earbit.audio.clips import reading_from
from earbit.errors import ConfigError, DataError
from earbit.units import assign
from earbit.units import fit as module
from earbit.units.assign import join, label_clips, labelled_rows
from earbit.units.discover import LABELS
from earbit.units.labels import UnitLabels, write_labels
from earbit.units.mfcc import mfcc
from earbit.units.sources import folder_source, mfcc_source


def frames_seen(monkeypatch, **options):
    """The frames that k-means is fitted on."""
    seen = []
    fit = module.fit_kmeans
    monkeypatch.setattr(
        module, "fit_kmeans", lambda frames, **rest: seen.append(frames) or fit(frames, **rest)
    )
    discovered(**options)
    monkeypatch.setattr(module, "fit_kmeans", fit)
    return seen[0]


def test_k_means_sees_no_more_frames_than_its_memory_holds(monkeypatch):
    options = {"memory_gb": 50 * 39 * 4 / 1e9}
    first, again = (frames_seen(monkeypatch, **options) for _ in range(2))
    assert 45 <= len(first) <= 50
    assert first.tobytes() == again.tobytes()
    known = {row.tobytes() for waveform in WAVEFORMS.values() for row in mfcc(waveform)}
    assert {row.tobytes() for row in first} <= known


def test_a_fraction_takes_whole_clips(monkeypatch):
    frames = frames_seen(monkeypatch, fraction=0.5)
    pairs = [{a, b} for a in WAVEFORMS for b in WAVEFORMS if a < b]
    whole = [np.concatenate([mfcc(WAVEFORMS[n]) for n in sorted(pair)]) for pair in pairs]
    assert any(np.array_equal(frames, one) for one in whole)


def test_k_means_in_bounded_memory_is_as_good_as_on_all_frames(monkeypatch):
    # 36 clouds of points, of which k-means sees a tenth.
    random = np.random.default_rng(0)
    centres = 4 * random.standard_normal((36, 8))
    clouds = centres[random.integers(36, size=40_000)] + random.standard_normal((40_000, 8))
    frames = {f"{i:02}": x for i, x in enumerate(np.split(clouds.astype(np.float32), 40))}
    audio = {name: np.zeros(320_000 + 80, np.float32) for name in frames}
    source = hidden(compute=lambda clip, audio: frames[clip.id])
    memory_gb = 4_000 * 8 * 4 / 1e9
    bounded = discovered(audio, source=source, n_units=36, memory_gb=memory_gb)[0]
    # Lloyd's algorithm on all frames, a stronger judge than mini-batches.
    reference = KMeans(36, n_init=10, random_state=0).fit(clouds)

    def inertia(centroids):
        return np.square(clouds[:, None] - centroids).sum(-1).min(1).sum()

    assert inertia(bounded.centroids) < 1.02 * inertia(reference.cluster_centers_)


def test_clips_that_cannot_be_read_have_no_labels_and_are_listed():
    def read(clip, start=0, n_samples=None):
        if clip.id in "bd":
            raise DataError(f"{clip.path}: damaged")
        return WAVEFORMS[clip.id]

    _, labels, report = discovered(read=read)
    assert (list(labels.by_id), report["n_unreadable"]) == (["a", "c"], 2)
    with pytest.raises(DataError, match="none of 2 training clips can be read; .*d: damaged"):
        discovered({n: WAVEFORMS[n] for n in "bd"}, read=read)


def test_ranks_share_the_clips_and_find_the_same_frames_and_labels(tmp_path):
    clips, source = table(WAVEFORMS), mfcc_source()
    read = reading_from(WAVEFORMS)
    plan = module.frames_to_fit(clips, rate_hz=100, fraction=1, max_frames=200, seed=3)
    alone, _ = module.sampled(clips, read, source, plan, 39, rank=0, n_ranks=1)
    kmeans, labels, _ = discovered()
    files = [tmp_path / f"labels-{rank}-of-3-000000.safetensors" for rank in range(3)]
    for rank in range(3):
        frames, counts = module.sampled(clips, read, source, plan, 39, rank=rank, n_ranks=3)
        np.save(tmp_path / f"frames-{rank}.npy", frames)
        np.save(tmp_path / f"counts-{rank}.npy", counts)
        rows = range(rank, len(clips), 3)
        made = labelled_rows(clips, rows, read, source, kmeans, {}, lambda n: None)
        write_labels(files[rank], labels.header, made)
    joined = module.joined_frames(tmp_path, 3, len(plan.rows), 39)
    assert joined.tobytes() == alone.tobytes()
    join([[file] for file in files], tmp_path / LABELS, labels.header)
    assert UnitLabels.load(tmp_path / LABELS).digest == labels.digest


def test_an_interrupted_labelling_goes_on_after_its_last_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(assign, "CHUNK_CLIPS", 2)
    clips, whole = table(WAVEFORMS), reading_from(WAVEFORMS)
    kmeans, labels, _ = discovered()
    reads = []

    def read(clip):
        reads.append(clip.id)
        if len(reads) == 4:
            raise KeyboardInterrupt
        if reads == ["a"]:
            raise DataError("a: the disk is busy")
        return whole(clip)

    def label(header=labels.header):
        path = tmp_path / LABELS
        found = label_clips(clips, read, mfcc_source(), kmeans, path, header, tmp_path)
        return found[0].digest, found[1]

    with pytest.raises(KeyboardInterrupt):
        label()
    assert label() == (labels.digest, {})
    assert reads == ["a", "b", "c", "d", "a", "c", "d"]
    label(dataclasses.replace(labels.header, corpus_digest="another"))
    assert reads[7:] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("left", ["ab", "bd", "d"])
def test_a_corpus_that_shrinks_after_an_interruption_has_no_labels_of_lost_clips(
    tmp_path, monkeypatch, left
):
    monkeypatch.setattr(assign, "CHUNK_CLIPS", 1)
    kmeans, labels, _ = discovered()

    def label(names, digest):
        waveforms = {name: WAVEFORMS[name] for name in names}
        header = dataclasses.replace(labels.header, corpus_digest=digest)
        clips, read, path = table(waveforms), reading_from(waveforms), tmp_path / LABELS
        return label_clips(clips, read, mfcc_source(), kmeans, path, header, tmp_path)[0]

    label("abcd", "whole")  # leaves its chunks, as if it were interrupted before they are joined
    (tmp_path / "labels-0-of-2-000000.safetensors").write_text("of two ranks")
    found = label(left, "smaller")
    assert "".join(found.by_id) == left
    for name in left:
        np.testing.assert_array_equal(found.by_id[name], labels.by_id[name])
    assert len(list(tmp_path.glob("labels-*"))) == len(left)


@pytest.mark.parametrize("in_workers", [True, False])
def test_worker_processes_change_nothing(in_workers):
    source = dataclasses.replace(mfcc_source(), in_workers=in_workers)
    assert discovered(source=source, workers=2)[1].digest == discovered(workers=0)[1].digest


def test_features_of_another_program_are_clustered(tmp_path):
    for name, waveform in WAVEFORMS.items():
        np.save(tmp_path / f"{name}.npy", np.stack([0 * mfcc(waveform), mfcc(waveform)]))
    source = folder_source(tmp_path, rate_hz=100, layer=1)
    kmeans, labels, _ = discovered(source=source)
    assert kmeans.digest == discovered()[0].digest
    assert (labels.header.feature, labels.header.layer) == ("features", 1)
    with pytest.raises(ConfigError, match="features of 2 layers; choose one with --layer 0 to 1"):
        discovered(source=folder_source(tmp_path, rate_hz=100))
    with pytest.raises(DataError, match="give the rate that the features have"):
        discovered(source=folder_source(tmp_path, rate_hz=50, layer=1))
    (tmp_path / "c.npy").unlink()
    with pytest.raises(DataError, match="no features of 1 clips, the first is c.npy"):
        discovered(source=folder_source(tmp_path, rate_hz=100, layer=1))


@pytest.mark.parametrize("shape", [(100, 0), (0, 100, 39), (1, 0, 39), (0,)])
def test_features_without_a_value_are_named_with_their_shape(tmp_path, shape):
    for name in WAVEFORMS:
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.float32))
    with pytest.raises(DataError, match=f"d.npy: features of shape {re.escape(str(shape))}, wit"):
        discovered(source=folder_source(tmp_path, rate_hz=100))
    np.save(tmp_path / "c.npy", mfcc(WAVEFORMS["c"]))
    _, labels, report = discovered(source=folder_source(tmp_path, rate_hz=100))
    assert (list(labels.by_id), report["n_unreadable"]) == (["c"], 3)
