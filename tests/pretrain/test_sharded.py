"""Checkpoints of tensors that are shared out among ranks."""

import pytest
import torch

from earbit.pretrain import sharded


class Part:
    """A part of a tensor, like a DTensor; counts the whole tensors that are held at once."""

    n_held = most_held = n_gathered = 0

    def __init__(self, value):
        self.value = value

    def detach(self):
        return self

    def full_tensor(self):
        Part.n_gathered += 1
        Part.n_held += 1
        Part.most_held = max(Part.most_held, Part.n_held)
        return Whole(self.value)


class Whole:
    """A gathered tensor on a GPU."""

    def __init__(self, value):
        self.value = value

    def __del__(self):
        Part.n_held -= 1

    def cpu(self):
        return torch.full((2, 3), self.value).T


@pytest.mark.parametrize("rank", [0, 1])
def test_one_whole_tensor_is_held_at_a_time_and_rank_0_alone_keeps_them(monkeypatch, rank):
    monkeypatch.setattr(sharded, "rank", lambda: rank)
    Part.n_held = Part.most_held = Part.n_gathered = 0
    kept = sharded.kept_by_first({f"t{i}": Part(float(i)) for i in range(5)})
    assert Part.n_gathered == 5  # by all ranks, or the others would wait
    assert Part.most_held == 1
    assert [float(t[0, 0]) for t in kept.values()] == ([0, 1, 2, 3, 4] if rank == 0 else [])
    assert all(t.is_contiguous() for t in kept.values())
