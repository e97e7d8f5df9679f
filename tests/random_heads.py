"""Heads of random weights, as `earbit superb` writes them for a model."""

import torch

from earbit.heads.head import HeadShape
from earbit.heads.table import HEADS
from earbit.model_digest import weights_digest
from earbit.superb.head_file import GridPoint, TrainedHead, save_head
from earbit.superb.ks import KS

LABELS = ("_silence_", "down", "ä b")


def head_for(
    model,
    folder,
    *,
    labels=LABELS,
    slots=None,
    n_states=None,
    width=None,
    digest=None,
    task=KS,
    d_hidden=256,
):
    """A head of random weights that differ in size, as if it were trained on the model."""
    encoder = model.config.encoder
    slots = slots or (labels,)
    shape = HeadShape(
        n_states=n_states or encoder.n_layers + 1,
        width=width or encoder.d_model,
        n_outputs=sum(map(len, slots)),
        d_hidden=d_hidden,
    )
    random = torch.Generator().manual_seed(1)
    module = HEADS[task.head](shape)
    for parameter in module.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=random)
    save(module, model, folder, slots=slots, digest=digest, task=task)
    return module


def save(module, model, folder, *, slots, task, digest=None):
    point = GridPoint(lr=1e-3, value=1.0, step=1, n_skipped=0)
    digest = weights_digest(model) if digest is None else digest
    trained = TrainedHead(task=task, head=module, slots=slots, model_digest=digest, point=point)
    folder.mkdir(exist_ok=True)
    save_head(folder / "head.safetensors", trained)
    (folder / "scores.json").write_text("{}")  # of a run that has finished
