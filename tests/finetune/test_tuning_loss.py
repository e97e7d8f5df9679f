"""Terms of the loss against plain numpy, clip by clip, so that padding would show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_rates import CONFIG, HEAD
from tuning import MODEL

from earbit.audio.splits import Splits
from earbit.finetune.loop import Clips, batch_of
from earbit.finetune.network import ClipBatch, Network, NetworkOutput, output_distance, tuning_loss
from earbit.frames import n_frames_of
from earbit.heads.example import Example
from earbit.heads.linear import FrameLinear, MeanPoolLinear
from earbit.load import random_model
from earbit.pretrain.masking import MaskConfig
from earbit.superb.tasks import TASKS

SIZES = (4_000, 7_000, 5_555)


def network_of(seed, head=MeanPoolLinear):
    torch.manual_seed(seed)
    config = replace(MODEL, dropout_input=0.0)
    encoder = replace(config.encoder, dropout=0.0, layer_drop=0.9)
    front_end = replace(config.front_end, norm="channel", shortcut=False)
    return Network(
        random_model(replace(config, encoder=encoder, front_end=front_end), seed), head(HEAD)
    )


@pytest.fixture(scope="module")
def waves():
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(n)).astype(np.float32) for n in SIZES]


def batch(waves, goals):
    wave_BN = torch.zeros(len(waves), max(SIZES))
    for row, wave in zip(wave_BN, waves, strict=True):
        row[: wave.size] = torch.from_numpy(wave)
    mask_BT = torch.zeros(len(waves), n_frames_of(max(SIZES)), dtype=torch.bool)
    return ClipBatch(wave_BN, torch.tensor(SIZES), goals, mask_BT)


def alone(network, wave):
    """Logits and states (L, T, D) of one clip without padding."""
    with torch.no_grad():
        output = network.eval()(torch.from_numpy(wave)[None], torch.tensor([wave.size]))
    return output.outputs[0].numpy(), np.stack([s[0].numpy() for s in output.states])


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_each_term_is_what_its_clips_give_alone(waves):
    """All layers of the student count, though it drops nine of ten in training otherwise."""
    student, teacher = network_of(1), network_of(2)
    ours, goals = ([alone(n, w) for w in waves] for n in (student, teacher))
    student.train()
    config = replace(CONFIG, labels=2.0, states=3.0, logits=5.0)
    slots = (("a", "b", "c"),)
    given = batch(waves, [torch.tensor([i]) for i in range(3)])
    loss = tuning_loss(student, teacher, given, "class", slots, config)
    task = -np.mean([log_softmax(out)[i] for i, (out, _) in enumerate(ours)])
    gaps = np.concatenate([a - b for (_, a), (_, b) in zip(ours, goals, strict=True)], axis=1)
    states = (gaps**2).mean(axis=(1, 2)).sum()
    logs = [(log_softmax(a), log_softmax(b)) for (a, _), (b, _) in zip(ours, goals, strict=True)]
    logits = np.mean([(np.exp(b) * (b - a)).sum() for a, b in logs])
    assert float(loss.parts["task_loss"]) == pytest.approx(task, rel=1e-4)
    assert float(loss.parts["state_distance"]) == pytest.approx(states, rel=1e-4)
    assert float(loss.parts["logit_distance"]) == pytest.approx(logits, rel=1e-3)
    total = 2 * task + 3 * states + 5 * logits
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-4)
    loss.total.backward()
    assert all(p.grad is None for p in teacher.parameters())


def test_symbols_are_compared_frame_by_frame_without_padding(waves):
    student, teacher = network_of(1, FrameLinear), network_of(2, FrameLinear)
    ours, goals = ([alone(n, w)[0] for w in waves] for n in (student, teacher))
    student.train()
    student.model.encoder.layer_drop = 0.0
    config = replace(CONFIG, labels=0.0, logits=1.0)
    loss = tuning_loss(student, teacher, batch(waves, []), "sequence", (("-", "a", "b"),), config)
    a, b = log_softmax(np.concatenate(ours)), log_softmax(np.concatenate(goals))
    expected = (np.exp(b) * (b - a)).sum(-1).mean()
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-3)


def test_every_slot_is_a_distribution_of_its_own_and_vectors_are_compared_by_their_squares():
    lengths = torch.tensor([1])
    logs = (
        torch.log(torch.tensor([[0.5, 0.5, 0.25, 0.75]])),
        torch.log(torch.tensor([[0.9, 0.1, 0.25, 0.75]])),
    )
    ours, goals = (NetworkOutput(x, [], lengths) for x in logs)
    of_slots = output_distance(ours, goals, "class", (("a", "b"), ("c", "d")))
    assert float(of_slots) == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2), rel=1e-5)
    vectors = (NetworkOutput(torch.tensor([x]), [], lengths) for x in ([1.0, 2.0], [4.0, 6.0]))
    assert float(output_distance(*vectors, "vector", (("a", "b"),))) == 12.5


def test_a_frozen_model_gets_no_gradient_and_its_states_are_not_compared(waves):
    student, teacher = network_of(1), network_of(2)
    student.train()
    student.model.eval()
    config = replace(CONFIG, states=1.0)
    goals = [torch.tensor([0])] * 3
    loss = tuning_loss(student, teacher, batch(waves, goals), "class", (("a", "b", "c"),), config)
    loss.total.backward()
    assert loss.parts.keys() == {"task_loss"}
    assert all(p.grad is None for p in student.model.parameters())
    assert all(p.grad is not None for p in student.head.parameters())


def test_crops_keep_audio_and_targets_together():
    """A clip of 3 s, whose second half has speech; each sample holds its own number."""
    n = 48_000
    example = Example(id="a", target=((1.5, 3.0, "x"),), speaker=None)
    clips = Clips(
        task=TASKS["sd"],
        splits=Splits(train=(example,), valid=(), test=()),
        slots=(("speaker 1", "speaker 2"),),
        waveforms={"a": np.arange(n, dtype=np.float32)},
    )
    for seed in range(5):
        config = replace(CONFIG, max_s=1.0)
        found = batch_of([example], clips, config, torch.Generator().manual_seed(seed))
        first = int(found.wave_BN[0, 0])
        assert first % 320 == 0
        (goal,) = found.goals
        assert goal.shape == (50, 2) == (n_frames_of(int(found.lengths[0])), 2)
        frames = torch.arange(50) + first // 320
        assert torch.equal(goal[:, 0], (frames >= 75).float())
    whole = batch_of([example], clips, CONFIG, torch.Generator())
    assert whole.lengths.tolist() == [n]


def test_masked_frames_are_hidden_from_the_network_and_not_from_its_teacher(waves):
    student = network_of(1).eval()
    example = Example(id="a", target="b", speaker=None)
    clips = Clips(
        task=TASKS["ks"],
        splits=Splits(train=(example,), valid=(), test=()),
        slots=(("a", "b", "c"),),
        waveforms={"a": waves[1]},
    )
    config = replace(CONFIG, states=1.0, mask=MaskConfig(probability=0.3, span_frames=5))
    found = batch_of([example], clips, config, torch.Generator().manual_seed(0))
    n_frames = n_frames_of(len(waves[1]))
    assert found.mask_BT.shape == (1, n_frames)
    assert 0 < int(found.mask_BT.sum()) < n_frames
    student.model.train()
    loss = tuning_loss(student, student, found, "class", clips.slots, config)
    # Equal weights, so the hidden frames alone make a distance.
    assert float(loss.parts["state_distance"]) > 0.01
    seen = tuning_loss(
        student,
        student,
        replace(found, mask_BT=found.mask_BT & False),
        "class",
        clips.slots,
        config,
    )
    assert float(seen.parts["state_distance"]) == pytest.approx(0, abs=1e-6)
