"""Checkpoints: what is damaged, and what only cannot be read now."""

import errno
import json

import pytest
import torch

from earbit.errors import DataError, FormatError
from earbit.pretrain import checkpoint
from earbit.pretrain.checkpoint import Position, load_newest, save_checkpoint

RUN = {"seed": 1}


@pytest.fixture
def saved(tmp_path):
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    save_checkpoint(tmp_path, model, optimiser, Position(5, 0, 5), RUN)
    return tmp_path, model, optimiser


def test_too_little_memory_for_a_checkpoint_is_not_called_damage(saved, monkeypatch):
    def fails(model, tensors):
        raise torch.OutOfMemoryError("tried to allocate 378 MiB")

    monkeypatch.setattr(checkpoint, "load_into", fails)
    with pytest.raises(torch.OutOfMemoryError, match="378 MiB"):
        load_newest(*saved, RUN)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_be_read_is_not_called_damage(saved, monkeypatch, number):
    def fails(path):
        raise OSError(number, "no luck")

    with monkeypatch.context() as context:
        context.setattr(checkpoint, "load_file", fails)
        with pytest.raises(DataError, match=r"step-00000005: cannot be read \(no luck\); start"):
            load_newest(*saved, RUN)
    assert load_newest(*saved, RUN) == Position(5, 0, 5)


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "state.json"])
def test_damage_is_named_with_the_advice_to_move_the_checkpoint_away(saved, name):
    folder = saved[0]
    file = folder / "step-00000005" / name
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(FormatError, match=f"damaged .*; move this folder out of {folder}"):
        load_newest(*saved, RUN)
    file.unlink()
    with pytest.raises(FormatError, match="damaged"):
        load_newest(*saved, RUN)


def test_a_state_of_another_form_is_damage(saved):
    path = saved[0] / "step-00000005" / "state.json"
    path.write_text(json.dumps({"run": RUN}))
    with pytest.raises(FormatError, match="damaged"):
        load_newest(*saved, RUN)
