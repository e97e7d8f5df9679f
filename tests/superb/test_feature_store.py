"""The store of features: what it keeps in memory and in files, for 100 hours of audio."""

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from earbit.errors import FormatError
from earbit.upstream.batches import collate
from earbit.upstream.feature_store import (
    KEY,
    PREFIX,
    ComputedFeatures,
    ShardedFeatures,
    frames_in,
    state_of,
)


def clips(n=4, seed=0):
    rng = np.random.default_rng(seed)
    return {f"{i}": rng.normal(size=(3, 5 + i, 8)).astype(np.float32) for i in range(n)}


def empty_shard(path, shapes, key="key"):
    """A shard in the format of safetensors whose values are a hole of the file."""
    header, end = {"__metadata__": {KEY: key}}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[PREFIX + name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def open_files(folder):
    """Open files of this process, and files of a folder that it maps into memory."""
    maps = Path("/proc/self/maps").read_text().count(str(folder))
    return len(os.listdir("/proc/self/fd")), maps


def test_a_hundred_hours_need_the_memory_of_one_batch_and_no_open_file(tmp_path):
    """28,539 clips of 631 frames, as in train-clean-100, of 13 states of 768: 719 GB of holes.

    They are in 892 shards, ten times as large as real ones, to make them faster.
    """
    shape = (13, 631, 768)
    names = [f"{i:05d}" for i in range(28_539)]
    for start in range(0, len(names), 32):
        shapes = dict.fromkeys(names[start : start + 32], shape)
        empty_shard(tmp_path / f"shard-{start:05d}.safetensors", shapes)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert total == pytest.approx(719e9, rel=0.01)
    before = open_files(tmp_path)
    tracemalloc.start()
    try:
        store = ShardedFeatures(tmp_path, "key")
        kept, _ = tracemalloc.get_traced_memory()
        assert len(store) == 28_539
        assert sum(store.n_frames.values()) * 20 / 3.6e6 == pytest.approx(100, abs=0.1)
        assert kept < 20e6
        # A batch needs its own features and one clip more, and leaves nothing behind.
        ids = list(store)[:: 28_539 // 4][:4]
        bytes_of_clip = 4 * 13 * 631 * 768
        for _ in range(2):
            tracemalloc.reset_peak()
            states_LBTD, lengths = collate(store, ids)
            assert states_LBTD.shape == (13, 4, 631, 768)
            assert lengths.tolist() == [631] * 4
            assert tracemalloc.get_traced_memory()[1] < kept + 5.1 * bytes_of_clip
            del states_LBTD
        # One state is read without the others.
        tracemalloc.reset_peak()
        assert store.state("20000", 12).shape == (631, 768)
        assert tracemalloc.get_traced_memory()[1] < kept + 1.5 * bytes_of_clip / 13
        assert tracemalloc.get_traced_memory()[0] < kept + 1e6
    finally:
        tracemalloc.stop()
    assert open_files(tmp_path) == before


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_was_written_is_read_whole_and_by_state(tmp_path, dtype):
    written = {i: clip.astype(dtype) for i, clip in clips().items()}
    store = ShardedFeatures(tmp_path, "key")
    store.add({i: written[i] for i in ("0", "1")})
    store.add({i: written[i] for i in ("2", "3")})
    for found in (store, ShardedFeatures(tmp_path, "key")):
        assert set(found) == set(written)
        for i, clip in written.items():
            assert found[i].dtype == np.float32
            assert np.array_equal(found[i], clip)
            assert frames_in(found, i) == clip.shape[1]
            for layer in range(3):
                assert np.array_equal(state_of(found, i, layer), clip[layer])


def test_features_in_memory_or_computed_have_the_same_lengths_and_states():
    written = clips()
    computed = ComputedFeatures(written.__getitem__)
    computed.add(written)
    for found in (computed, written):
        assert frames_in(found, "2") == 7
        assert np.array_equal(state_of(found, "2", 1), written["2"][1])
    assert state_of(computed, "2", 1).base is None  # a view would keep the other states


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data[:5],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"#" + data[9:],
        lambda data: data.replace(b'"F32"', b'"F99"', 1),
        lambda data: b"",
    ],
)
def test_a_damaged_shard_is_named(tmp_path, spoil):
    ShardedFeatures(tmp_path, "key").add(clips())
    (shard,) = tmp_path.glob("shard-*")
    shard.write_bytes(spoil(shard.read_bytes()))
    with pytest.raises(FormatError, match=f"{shard.name}: damaged feature cache .*; delete it"):
        ShardedFeatures(tmp_path, "key")


def test_a_shard_that_is_cut_or_deleted_while_it_is_used_is_named(tmp_path):
    store = ShardedFeatures(tmp_path, "key")
    store.add(clips())
    (shard,) = tmp_path.glob("shard-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(FormatError, match="damaged feature cache"):
        [store[i] for i in store]
    shard.unlink()
    with pytest.raises(FormatError, match="damaged feature cache"):
        store["0"]
