from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from one_task import run_task
from scipy.signal import medfilt

from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.kinds.segments import SEGMENTS
from earbit.heads.metrics import METRICS
from earbit.superb.sd import SD

TWO = (("speaker 1", "speaker 2"),)
THREE = (("speaker 1", "speaker 2", "speaker 3"),)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ([[0, 1.5, "a"], [1, 2, "b"]], ((0.0, 1.5, "a"), (1.0, 2.0, "b"))),
        ([["0", "1.5", "a"]], ((0.0, 1.5, "a"),)),
        ([], None),
        (None, None),
        ("0 1 a", None),
        (3, None),
        ([[0, 1]], None),
        ([[0, 1, "a", "b"]], None),
        ([0, 1, "a"], None),
        ([["x", 1, "a"]], None),
        ([[1, 1, "a"]], None),
        ([[2, 1, "a"]], None),
        ([[-1, 1, "a"]], None),
        ([[0, float("nan"), "a"]], None),
        ([[0, float("inf"), "a"]], None),
        ([[0, 10**400, "a"]], None),
        ([[None, 1, "a"]], None),
        ({"start": 0}, None),
    ],
)
def test_a_label_is_a_list_of_start_end_and_speaker(value, target):
    assert SEGMENTS.target_of(value) == target


def test_there_is_an_output_for_each_of_the_most_speakers_and_at_least_two():
    one, three = [(0, 1, "a")], [(0, 1, "a"), (1, 2, "b"), (2, 3, "c"), (3, 4, "a")]
    assert SEGMENTS.slots_of([one]) == TWO
    assert SEGMENTS.slots_of([one, three]) == THREE
    with pytest.raises(DataError, match="5 speakers; up to 4"):
        SEGMENTS.slots_of([[(i, i + 1, str(i)) for i in range(5)]])


def test_a_segment_reaches_from_the_nearest_frame_to_the_nearest_frame():
    """At 320 samples, a frame is 20 ms: 0.031 s is 1.55 frames, 0.069 s is 3.45."""
    target = ((0.031, 0.069, "b"), (0.06, 0.1, "a"))
    active_TS = SEGMENTS.encode(target, TWO, 6, 320)
    assert active_TS.dtype == torch.float32
    # Speakers are sorted: a is the first column.
    assert active_TS.T.tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0]]


@pytest.mark.parametrize(("hop", "per_s"), [(320, 50), (160, 100)])
def test_frames_of_a_segment_are_its_seconds_times_the_frame_rate_rounded(hop, per_s):
    rng = np.random.default_rng(0)
    for start_s, length_s in rng.uniform(0.0, 2.0, size=(50, 2)):
        end_s = start_s + length_s + 0.05
        active_T = SEGMENTS.encode(((start_s, end_s, "a"),), TWO, 5 * per_s, hop)[:, 0].numpy()
        first, last = np.rint(start_s * per_s), np.rint(end_s * per_s)
        assert np.flatnonzero(active_T).tolist() == list(range(int(first), int(last)))


def test_what_lies_behind_the_last_frame_is_cut():
    active_TS = SEGMENTS.encode(((0.0, 9.0, "a"), (8.0, 9.0, "b")), TWO, 3, 320)
    assert active_TS.tolist() == [[1, 0]] * 3


def loss(outputs_BTS, targets, slots=TWO):
    lengths = torch.tensor([len(target) for target in targets])
    return SEGMENTS.loss(None, outputs_BTS, lengths, targets, slots).item()


def random_batch(n_speakers, seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(3, 6, n_speakers, generator=generator)
    targets = [(torch.rand(n, n_speakers, generator=generator) < 0.5).float() for n in (6, 4, 1)]
    return outputs, targets


@pytest.mark.parametrize(("n_speakers", "slots"), [(2, TWO), (3, THREE)])
def test_the_loss_is_that_of_the_best_order_in_each_clip_by_brute_force(n_speakers, slots):
    outputs, targets = random_batch(n_speakers)
    total = 0.0
    for y, target in zip(outputs.double().numpy(), targets, strict=True):
        n, p = len(target), 1 / (1 + np.exp(-y))
        costs = []
        for order in permutations(range(n_speakers)):
            wanted = target.numpy()[:, order]
            costs.append(-np.log(np.where(wanted > 0, p[:n], 1 - p[:n])).sum())
        total += min(costs)
    assert loss(outputs, targets, slots) == pytest.approx(total / 11 / n_speakers, rel=1e-5)


def test_the_order_of_the_speakers_does_not_change_the_loss():
    outputs, targets = random_batch(3)
    expected = loss(outputs, targets, THREE)
    for order in permutations(range(3)):
        turned = [target[:, list(order)] for target in targets]
        assert loss(outputs, turned, THREE) == pytest.approx(expected)
        assert loss(outputs[:, :, list(order)], targets, THREE) == pytest.approx(expected)


def test_what_stands_in_the_padding_does_not_change_the_loss():
    outputs, targets = random_batch(2)
    expected = loss(outputs, targets)
    outputs[1, 4:], outputs[2, 1:] = 50.0, -50.0
    assert loss(outputs, targets) == expected


def logits(*rows):
    p = np.array(rows, float).T
    return torch.from_numpy(np.log(p / (1 - p)))


def decode(outputs_TS, window, threshold, hop=320):
    return SEGMENTS.decode(outputs_TS, TWO, hop, (window, threshold))


def test_segments_are_where_the_probability_is_above_the_threshold():
    y = logits([0.1, 0.45, 0.9, 0.6, 0.1], [0.9, 0.9, 0.1, 0.1, 0.9])
    found = decode(y, 1, 0.5)
    assert found == (
        (pytest.approx(0.04), pytest.approx(0.08), "speaker 1"),
        (pytest.approx(0.0), pytest.approx(0.04), "speaker 2"),
        (pytest.approx(0.08), pytest.approx(0.1), "speaker 2"),
    )
    assert decode(y, 1, 0.4)[0][:2] == (pytest.approx(0.02), pytest.approx(0.08))
    assert decode(y, 1, 0.7)[0][:2] == (pytest.approx(0.04), pytest.approx(0.06))
    assert decode(y, 1, 0.5, hop=160)[0][:2] == (pytest.approx(0.02), pytest.approx(0.04))


def test_silence_has_no_segment():
    assert decode(logits([0.1] * 5, [0.2] * 5), 11, 0.5) == ()


@pytest.mark.parametrize("n_frames", [1, 5, 40])
def test_the_median_filter_is_that_of_scipy_signal_with_zeros_outside(n_frames):
    rng = np.random.default_rng(n_frames)
    p = rng.uniform(0.05, 0.95, size=(2, n_frames))
    active = np.zeros((2, n_frames))
    for start_s, end_s, name in decode(logits(*p), 11, 0.5):
        active[TWO[0].index(name), round(start_s * 50) : round(end_s * 50)] = 1
    for got_T, p_T in zip(active, p, strict=True):
        padded_T = np.pad((p_T > 0.5).astype(float), 11)
        assert got_T.tolist() == medfilt(padded_T, 11)[11:-11].tolist()


def test_the_settings_are_the_ten_of_the_benchmark():
    wanted = {(window, t) for window in (1, 11) for t in (0.3, 0.4, 0.5, 0.6, 0.7)}
    assert set(SEGMENTS.settings) == wanted
    assert len(SEGMENTS.settings) == 10


def test_turns_of_two_speakers_are_learned_and_the_setting_is_picked_on_valid(toy, tmp_path):
    """Each speaker of a clip is one of two directions; the score on test picks no setting."""
    rng = np.random.default_rng(0)
    clips, parts = {}, {"train": [], "valid": [], "test": []}
    for part, n in (("train", 12), ("valid", 4), ("test", 4)):
        for i in range(n):
            turns = rng.integers(12, 30, size=4)
            clip = 0.1 * rng.normal(size=(3, int(turns.sum()), 8)).astype(np.float32)
            segments, at = [], 0
            for turn, n_frames in enumerate(turns.tolist()):
                clip[1, at : at + n_frames, turn % 2] += 1
                segments.append((at / 50, (at + n_frames) / 50, f"{part}{i}-{turn % 2}"))
                at += n_frames
            clips[f"{part}{i}"] = clip
            parts[part].append(Example(id=f"{part}{i}", target=tuple(segments), speaker=None))
    splits = Splits(**{name: tuple(part) for name, part in parts.items()})
    protocol = replace(SD.proxy, lrs=(1e-2,), n_steps=60, n_checks=2, d_hidden=16, max_s=1.0)
    score = run_task(SD, toy.frozen(clips), splits, tmp_path, protocol=protocol, seed=0)
    assert score["value"] < 0.1
    assert score["metric"] == "der"
    assert tuple(score["setting"]) in SEGMENTS.settings
    assert score["value_picked_on_test"] <= score["value"]
    assert score["outputs"] == ["speaker 1", "speaker 2"]
    assert METRICS["der"].higher_is_better is False


def mixture(i, *names):
    segments = tuple((0.0, 1.0, name) for name in names)
    return Example(id=f"{i:02d}", target=segments, speaker=None)


def test_clips_that_share_a_speaker_are_drawn_together():
    """Pairs of a chain of three clips each: a-b, b-c, c-d."""
    clips = [
        mixture(3 * chain + i, f"{chain} {'abcd'[i]}", f"{chain} {'abcd'[i + 1]}")
        for chain in range(10)
        for i in range(3)
    ]
    splits = SEGMENTS.splits(clips, {})
    parts = (splits.train, splits.valid, splits.test)
    assert [len(part) for part in parts] == [21, 3, 6]
    chains = [{int(e.id) // 3 for e in part} for part in parts]
    assert sum(map(len, chains)) == 10
    assert all(e.speaker is None for part in parts for e in part)


def test_clips_are_drawn_one_by_one_where_nearly_all_share_a_speaker():
    clips = [mixture(i, "speaker 1", "speaker 2") for i in range(19)] + [mixture(19, "other")]
    splits = SEGMENTS.splits(clips, {})
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [14, 2, 4]
    assert splits.summary["drawn_by"] == "test and valid by id"
