from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from one_task import run_task

from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.heads.example import Example, Trial
from earbit.heads.head import HeadShape
from earbit.heads.kinds import vector
from earbit.heads.kinds.vector import VECTOR, drawn_trials
from earbit.heads.metrics import METRICS
from earbit.heads.xvector import XVector
from earbit.superb.asv import ASV
from earbit.superb.training import Training, predict, train_head

SPEAKERS = (("anna", "ben", "cleo"),)


def head(n_speakers=3):
    torch.manual_seed(0)
    return XVector(HeadShape(n_states=1, width=4, n_outputs=n_speakers, d_hidden=8)).eval()


class Cosines(XVector):
    """A head whose cosines are given."""

    def __init__(self, cosines_BC):
        super().__init__(HeadShape(n_states=1, width=4, n_outputs=len(cosines_BC[0]), d_hidden=8))
        self.given = torch.tensor(cosines_BC)

    def cosines(self, embeddings_BD):
        return self.given


def loss(of_head, embeddings_BD, targets):
    encoded = [torch.tensor([target]) for target in targets]
    slots = (tuple(f"s{i}" for i in range(of_head.shape.n_outputs)),)
    return VECTOR.loss(of_head, embeddings_BD, torch.ones(len(targets)), encoded, slots).item()


def example(name, speaker):
    return Example(id=name, target=speaker, speaker=speaker)


def examples(n_speakers, n_clips):
    return [example(f"s{s}-{i}", f"s{s}") for s in range(n_speakers) for i in range(n_clips)]


@pytest.mark.parametrize(
    ("value", "target"), [("anna", "anna"), ("", None), (None, None), (3, None), (["anna"], None)]
)
def test_a_target_is_a_speaker(value, target):
    assert VECTOR.target_of(value) == target


def test_speakers_are_sorted_and_numbered():
    assert VECTOR.slots_of(["cleo", "anna", "ben", "anna"]) == SPEAKERS
    assert VECTOR.encode("ben", SPEAKERS, 9, 320).tolist() == [1]
    with pytest.raises(DataError, match="1 speakers among 2"):
        VECTOR.slots_of(["anna", "anna"])


def test_the_loss_of_one_clip_by_hand():
    """Cosines 0.6 of the speaker, 0.1 and -0.2 of others, scale 30, margin 0.4.

    exp(30 x 0.2) / (exp(30 x 0.2) + exp(30 x 0.1) + exp(-30 x 0.2)) has -log 0.0485932.
    """
    assert loss(Cosines([[0.6, 0.1, -0.2]]), torch.zeros(1, 8), [0]) == pytest.approx(
        0.0485932, abs=1e-6
    )


def test_the_loss_of_a_batch_is_that_of_the_formula_in_float64():
    module = head()
    embeddings_BD = torch.rand(5, 8)
    targets = [2, 0, 1, 1, 2]
    w, b = (t.detach().double().numpy() for t in module.second.parameters())
    second = np.maximum(embeddings_BD.double().numpy() @ w.T + b, 0)
    speakers = module.speakers.detach().double().numpy()
    losses = []
    for row, target in zip(second, targets, strict=True):
        cosines = [row @ s / np.linalg.norm(row) / np.linalg.norm(s) for s in speakers]
        powers = [np.exp(30 * (c - 0.4 * (j == target))) for j, c in enumerate(cosines)]
        losses.append(-np.log(powers[target] / sum(powers)))
    assert loss(module, embeddings_BD, targets) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_margin_makes_the_loss_of_a_sure_clip_larger_than_that_of_the_plain_softmax():
    cosines = [[0.3, 0.1]]
    plain = -np.log(np.exp(9) / (np.exp(9) + np.exp(3)))
    assert loss(Cosines(cosines), torch.zeros(1, 8), [0]) > 2 * plain


def test_a_prediction_is_the_direction_of_the_embedding():
    got = VECTOR.decode(torch.tensor([3.0, 4.0]), SPEAKERS, 320, None)
    assert got.tolist() == pytest.approx([0.6, 0.8])


def test_a_trial_is_scored_by_the_cosine_and_grouped_by_the_first_speaker():
    clips = [example("a", "anna"), example("b", "anna"), example("c", "ben")]
    directions = {"a": (1.0, 0.0), "b": (0.6, 0.8), "c": (-1.0, 0.0)}
    trials = [
        Trial(first="a", second="b", is_match=True),
        Trial(first="c", second="a", is_match=False),
    ]
    predictions = {name: torch.tensor(d) for name, d in directions.items()}
    of = VECTOR.cases(clips, predictions, trials)
    assert of.predictions == pytest.approx([0.6, -1.0])
    assert list(of.references) == [True, False]
    assert list(of.groups) == ["speaker anna", "speaker ben"]


@pytest.mark.parametrize(("n_speakers", "n_clips"), [(2, 2), (5, 4), (20, 30)])
def test_drawn_trials_are_balanced_true_and_of_two_clips(n_speakers, n_clips):
    clips = examples(n_speakers, n_clips)
    speaker_of = {e.id: e.target for e in clips}
    trials = drawn_trials(clips)
    counts = Counter(trial.is_match for trial in trials)
    assert counts[True] == counts[False] > 0
    assert len(trials) <= vector.MAX_TRIALS
    for trial in trials:
        assert trial.first != trial.second
        assert trial.is_match == (speaker_of[trial.first] == speaker_of[trial.second])
    pairs = [frozenset((trial.first, trial.second)) for trial in trials]
    assert len(set(pairs)) == len(pairs)


def test_drawn_trials_are_the_same_every_time_and_not_the_first_pairs():
    clips = examples(6, 5)
    trials = drawn_trials(clips)
    assert trials == drawn_trials(clips)
    others = [(t.first, t.second) for t in trials if not t.is_match]
    firsts = {first.split("-")[0] for first, _ in others}
    assert len(firsts) >= 4


def test_of_many_clips_trials_are_drawn_of_most_speakers(monkeypatch):
    monkeypatch.setattr(vector, "MAX_TRIALS", 200)
    trials = drawn_trials(examples(50, 20))
    assert len(trials) == 200
    speakers = {t.first.split("-")[0] for t in trials}
    assert len(speakers) > 30


def test_more_trials_than_the_most_are_not_drawn(monkeypatch):
    monkeypatch.setattr(vector, "MAX_TRIALS", 10)
    assert Counter(t.is_match for t in drawn_trials(examples(4, 4))) == {True: 5, False: 5}


@pytest.mark.parametrize("clips", [examples(1, 5), examples(5, 1), []])
def test_clips_without_a_match_or_without_another_speaker_are_an_error(clips):
    with pytest.raises(DataError, match="two clips of one speaker and a clip of another"):
        drawn_trials(clips)


@pytest.mark.parametrize(("n_speakers", "n_clips"), [(10, 10), (40, 10), (6, 30)])
def test_drawn_splits_have_two_speakers_in_every_part(n_speakers, n_clips):
    """A part of one speaker has no trials."""
    clips = examples(n_speakers, n_clips)
    splits = VECTOR.splits(clips, dict.fromkeys(e.id for e in clips))
    for part in (splits.train, splits.valid, splits.test):
        drawn_trials(part)
    assert splits.summary["n_shared_speakers"] == 0


@pytest.mark.parametrize("part", ["valid", "test"])
def test_given_splits_with_a_part_of_one_speaker_are_an_error_before_training(part):
    clips = examples(9, 4)
    name_of = {"s0": part, "s1": "test", "s2": "test", "s3": "valid", "s4": "valid"}
    other = "test" if part == "valid" else "valid"
    kept = [e for e in clips if name_of.get(e.target) != part or e.target == "s0"]
    assert {name_of.get(e.target) for e in kept} == {part, other, None}
    with pytest.raises(DataError, match=f"{part}|two clips of one speaker"):
        VECTOR.splits(kept, {e.id: name_of.get(e.target, "train") for e in kept})


def test_an_embedding_that_separates_speakers_is_learned(toy):
    """The clips of a speaker lie in a direction; speakers of the test are not in training."""
    rng = np.random.default_rng(0)
    clips, parts = {}, {"train": [], "valid": [], "test": []}
    for number in range(14):
        direction = rng.normal(size=8)
        part = "train" if number < 8 else "valid" if number < 11 else "test"
        for i in range(8):
            noise = 0.3 * rng.normal(size=(3, int(rng.integers(15, 25)), 8))
            clips[f"s{number}-{i}"] = (noise + direction).astype(np.float32)
            parts[part].append(example(f"s{number}-{i}", f"s{number}"))
    trials = {name: tuple(drawn_trials(parts[name])) for name in ("valid", "test")}
    splits = Splits(**{name: tuple(part) for name, part in parts.items()}, trials=trials)
    protocol = replace(ASV.proxy, n_steps=25, n_checks=2, d_hidden=16, batch_size=16)
    training = Training(
        task=ASV, protocol=protocol, features=toy.frozen(clips), splits=splits, seed=0
    )
    trained = train_head(training, 1e-2)
    found = predict(ASV, trained.head, trained.slots, training.features, splits.test)
    assert METRICS["eer"].of(VECTOR.cases(splits.test, found, trials["test"])) < 0.25


def test_of_many_clips_matches_are_drawn_over_all_recordings_of_a_speaker():
    """Ids in the layout of VoxCeleb1; of all pairs of a speaker, 5 of 29 share a recording."""
    clips = [
        example(f"s{s:02d}/video{v}/{i:05d}", f"s{s:02d}")
        for s in range(30)
        for v in range(5)
        for i in range(6)
    ]
    matches = [t for t in drawn_trials(clips) if t.is_match]
    shared = [t.first.rsplit("/", 1)[0] == t.second.rsplit("/", 1)[0] for t in matches]
    assert len(matches) > 800
    assert np.mean(shared) < 0.25


def test_splits_that_share_speakers_are_drawn_again_and_said():
    clips = examples(10, 6)
    parts = ("train", "valid", "test")
    splits = VECTOR.splits(clips, {e.id: parts[i % 3] for i, e in enumerate(clips)})
    speakers = [{e.speaker for e in part} for part in (splits.train, splits.valid, splits.test)]
    assert not speakers[0] & (speakers[1] | speakers[2])
    assert "since the corpus' splits share speakers" in splits.summary["drawn_by"]


def test_the_best_checkpoint_on_the_test_trials_stands_beside_the_score(toy, tmp_path):
    """With random features and many checks, some other checkpoint is better on the test trials."""
    rng = np.random.default_rng(1)
    clips = {e.id: rng.normal(size=(3, 12, 8)).astype(np.float32) for e in examples(9, 5)}
    part_of = [("train", range(5)), ("valid", range(5, 7)), ("test", range(7, 9))]
    parts = {
        name: tuple(e for e in examples(9, 5) if int(e.target[1:]) in of) for name, of in part_of
    }
    trials = {name: tuple(drawn_trials(parts[name])) for name in ("valid", "test")}
    splits = Splits(**parts, trials=trials)
    protocol = replace(ASV.proxy, lrs=(1e-2,), n_steps=12, n_checks=12, d_hidden=8, batch_size=8)
    score = run_task(ASV, toy.frozen(clips), splits, tmp_path, protocol=protocol)
    assert score["value_picked_on_test"] == score["grid"][0]["test_value"] < score["value"]
