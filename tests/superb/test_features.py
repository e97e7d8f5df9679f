from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open

from earbit.errors import DataError, FormatError
from earbit.upstream import features as module
from earbit.upstream.feature_store import frames_in
from earbit.upstream.features import frozen_features
from earbit.upstream.upstream import Upstream


def waveforms(n=5):
    rng = np.random.default_rng(0)
    return {f"clip/{i}": rng.normal(size=800 + 400 * i).astype(np.float32) for i in range(n)}


class Counted:
    """Two states of samples taken 320 at a time, and how often they were asked for."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, clip, waveform):
        self.n_calls += 1
        return of_samples(waveform())


def of_samples(waveform):
    frames = waveform[: waveform.size // 320 * 320].reshape(-1, 320)[:, :4]
    return np.stack([frames, 2 * frames])


def cached(function, waves, ids, folder, *, model="m", corpus="c", hop=320, cache="fp32"):
    """The features and the unusable clips."""
    return frozen_features(
        Upstream(name="test", digest=model, features=function, hop_samples=hop),
        waves.__getitem__,
        {i: waves[i].size // hop if i in waves else 1 for i in ids},
        corpus_digest=corpus,
        cache_dir=folder,
        cache=cache,
    )


def test_every_clip_is_computed_once(tmp_path):
    counted, waves = Counted(), waveforms()
    frozen, unusable = cached(counted, waves, [*waves, "clip/0"], tmp_path)
    assert counted.n_calls == 5
    assert unusable == {}
    assert (frozen.n_states, frozen.width, frozen.hop_samples) == (2, 4, 320)
    assert (frozen.model_digest, frozen.corpus_digest) == ("m", "c")
    assert np.array_equal(frozen.clips["clip/3"], of_samples(waves["clip/3"]))


def test_on_disk_a_second_call_computes_only_what_is_new(tmp_path):
    counted, waves = Counted(), waveforms()
    ids = list(waves)
    cached(counted, waves, ids[:3], tmp_path)
    assert counted.n_calls == 3
    frozen, _ = cached(counted, waves, ids, tmp_path)
    assert counted.n_calls == 5
    again, _ = cached(counted, waves, ids, tmp_path)
    assert counted.n_calls == 5
    assert (again.n_states, again.width) == (frozen.n_states, frozen.width) == (2, 4)
    for i in ids:
        assert np.array_equal(again.clips[i], of_samples(waves[i]))


def test_a_killed_extraction_loses_only_the_shard_that_was_not_written(tmp_path, monkeypatch):
    waves = waveforms()
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    counted = Counted()

    def killed(clip, waveform):
        if counted.n_calls == 3:
            raise KeyboardInterrupt
        return counted(clip, waveform)

    with pytest.raises(KeyboardInterrupt):
        cached(killed, waves, waves, tmp_path)
    cached(counted, waves, waves, tmp_path)
    assert counted.n_calls == 5
    assert not list(tmp_path.glob("*/.*"))


def test_after_ctrl_c_every_finished_clip_is_kept(tmp_path):
    waves, counted = waveforms(), Counted()

    def interrupted(clip, waveform):
        if counted.n_calls == 3:
            raise KeyboardInterrupt
        return counted(clip, waveform)

    with pytest.raises(KeyboardInterrupt):
        cached(interrupted, waves, waves, tmp_path)
    frozen, _ = cached(counted, waves, waves, tmp_path)
    assert counted.n_calls == 5
    assert all(np.array_equal(frozen.clips[i], of_samples(wave)) for i, wave in waves.items())


@pytest.mark.parametrize("changed", ["model", "corpus"])
def test_another_model_or_corpus_never_sees_a_stale_cache(tmp_path, changed):
    counted, waves = Counted(), waveforms()
    cached(counted, waves, waves, tmp_path)
    cached(counted, waves, waves, tmp_path, **{changed: "other"})
    assert counted.n_calls == 10


def test_a_damaged_or_foreign_shard_is_an_error(tmp_path):
    waves = waveforms()
    cached(Counted(), waves, waves, tmp_path)
    (shard_m,) = tmp_path.glob("*/*.safetensors")
    cached(Counted(), waves, waves, tmp_path, model="n")
    (shard_n,) = set(tmp_path.glob("*/*.safetensors")) - {shard_m}
    shard_m.write_bytes(shard_n.read_bytes())
    with pytest.raises(FormatError, match="of other features"):
        cached(Counted(), waves, waves, tmp_path)
    shard_m.write_bytes(shard_m.read_bytes()[:50])
    with pytest.raises(FormatError, match="damaged feature cache"):
        cached(Counted(), waves, waves, tmp_path)


def test_no_clips_at_all_are_an_error(tmp_path):
    with pytest.raises(DataError, match="splits are empty"):
        cached(Counted(), waveforms(), [], tmp_path)


class Damaged(dict):
    """Waveforms of which some cannot be decoded."""

    def __getitem__(self, name):
        if name not in self:
            raise DataError(f"{name}: damaged")
        return super().__getitem__(name)


def test_clips_that_cannot_be_decoded_are_named_with_the_reason_and_the_others_stay(tmp_path):
    waves = Damaged(waveforms())
    frozen, unusable = cached(Counted(), waves, [*waves, "ghost"], tmp_path)
    assert unusable == {"ghost": "ghost: damaged"}
    assert set(frozen.clips) == set(waves)


def test_if_no_clip_can_be_decoded_the_first_reason_is_told(tmp_path):
    with pytest.raises(DataError, match="no usable clip among 2; the first: a: damaged"):
        cached(Counted(), Damaged(), ["b", "a"], tmp_path)


def test_an_upstream_without_features_of_a_clip_is_an_error_and_no_clip_left_out(tmp_path):
    def only_some(clip, waveform):
        if clip == "clip/2":
            raise DataError("no features for clip/2")
        return np.ones((1, 2, 3))

    with pytest.raises(DataError, match="no features for clip/2"):
        cached(only_some, waveforms(), waveforms(), tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: np.where(x > 0, np.nan, x), "not finite"),
        (lambda x: x[0], "all hidden states"),
        (lambda x: x[:, :0], "all hidden states"),
        (lambda x: x if x.shape[1] < 3 else x[:1], "expected .2 states"),
    ],
)
def test_features_that_cannot_be_used_are_errors(tmp_path, spoil, message):
    waves = waveforms()
    with pytest.raises(DataError, match=message):
        cached(lambda _, w: spoil(of_samples(w())), waves, waves, tmp_path)


@pytest.mark.parametrize(("cache", "size"), [("fp32", "1.6"), ("fp16", "0.8")])
def test_what_a_cache_takes_is_said_before_it_is_used(tmp_path, monkeypatch, capsys, cache, size):
    """50 million frames of 20 ms, of 2 states x 4 values x 4 or 2 bytes."""
    monkeypatch.setattr(module, "SHARD_BYTES", 1)

    said = []

    def told_before(*_):
        said.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr(module.ShardedFeatures, "add", told_before)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    upstream = Upstream(name="t", digest="m", features=lambda *_: np.ones((2, 9, 4)))
    with pytest.raises(KeyboardInterrupt):
        frozen_features(
            upstream,
            {}.__getitem__,
            {"a": 25_000_000, "b": 25_000_000},
            corpus_digest="c",
            cache_dir=tmp_path,
            cache=cache,
        )
    assert f"features of 2 clips (277.8 h) take {size} GB of 3.0 GB free" in said[0]


def test_a_disk_with_less_space_is_refused_in_one_line_before_anything_is_written(
    tmp_path, monkeypatch
):
    waves = waveforms()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=300))
    with pytest.raises(DataError, match=r"5 clips .*GB free; .*--cache fp16 .*or none") as error:
        cached(Counted(), waves, waves, tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("shard-*"))
    # 2 + 3 + 5 + 6 + 7 frames x 2 states x 4 values: 736 bytes in fp32.
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=736))
    cached(Counted(), waves, waves, tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    cached(Counted(), waves, waves, tmp_path)  # all of them are there
    cached(Counted(), waves, waves, tmp_path / "none", cache="none")


def test_half_precision_takes_half_the_bytes_and_is_read_as_float32(tmp_path):
    waves = waveforms()
    full, _ = cached(Counted(), waves, waves, tmp_path / "fp32")
    half, _ = cached(Counted(), waves, waves, tmp_path / "fp16", cache="fp16")
    sizes = []
    for name in ("fp32", "fp16"):
        (shard,) = (tmp_path / name).rglob("shard-*")
        with safe_open(shard, "numpy") as file:
            sizes.append(sum(file.get_tensor(key).nbytes for key in file.keys()))  # noqa: SIM118
    assert sizes[0] == 2 * sizes[1] == 736
    for i in waves:
        assert half.clips[i].dtype == np.float32
        assert np.array_equal(half.clips[i], full.clips[i].astype(np.float16).astype(np.float32))
    assert (full.cache, half.cache) == ("fp32", "fp16")


def test_precisions_never_share_a_cache(tmp_path):
    counted, waves = Counted(), waveforms()
    cached(counted, waves, waves, tmp_path, cache="fp16")
    full, _ = cached(counted, waves, waves, tmp_path)
    assert counted.n_calls == 10
    assert np.array_equal(full.clips["clip/3"], of_samples(waves["clip/3"]))


def test_features_beyond_half_precision_are_refused(tmp_path):
    waves = {"a": np.full(800, 70_000, np.float32)}
    with pytest.raises(DataError, match="'a' reach 1.4e.05, and fp16 ends at 65,504"):
        cached(Counted(), waves, waves, tmp_path, cache="fp16")
    cached(Counted(), waves, waves, tmp_path)


def test_without_a_cache_nothing_is_written_and_features_are_computed_when_asked_for(tmp_path):
    counted, waves = Counted(), Damaged(waveforms())
    frozen, unusable = cached(counted, waves, [*waves, "ghost"], tmp_path, cache="none")
    assert counted.n_calls == 6
    assert not list(tmp_path.iterdir())
    assert unusable == {"ghost": "ghost: damaged"}
    assert set(frozen.clips) == set(waves)
    before = counted.n_calls
    assert frames_in(frozen.clips, "clip/3") == 6
    assert counted.n_calls == before  # lengths are known
    assert np.array_equal(frozen.clips["clip/3"], of_samples(waves["clip/3"]))
    assert counted.n_calls == before + 1


def test_a_frozen_set_of_features_cannot_be_changed_by_accident(toy):
    features = toy.constant(toy.splits())
    with pytest.raises(AttributeError):
        features.width = 3
    assert replace(features, width=3).width == 3
