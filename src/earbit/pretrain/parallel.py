"""One loss on several ranks: data parallelism, batch statistics, and layers that are compiled.

Letters: B batch, N samples, T frames.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from earbit.distributed import exchange, n_ranks
from earbit.model import AudioModel
from earbit.nn.devices import TrainPrecision, autocast
from earbit.nn.filterbank import Filterbank
from earbit.pretrain.machine import Sharding
from earbit.pretrain.objective import Loss, Objective
from earbit.pretrain.sharded import gathered


class LossModule(torch.nn.Module):
    """The model and its objective in one `forward`, which a wrapper for several ranks needs."""

    def __init__(
        self,
        model: AudioModel,
        objective: Objective,
        precision: TrainPrecision,
        *,
        is_sharded: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.precision = precision
        self.is_sharded = is_sharded

    def forward(
        self,
        wave_BN: Tensor | None,
        mask_BT: Tensor | None,
        targets_BT: Tensor | None,
        absent: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss to differentiate and scalars to log; without audio, `absent` x a parameter."""
        if wave_BN is None or mask_BT is None:
            return absent * self._touched(), {}
        with autocast(wave_BN.device, self.precision):
            loss = self.objective.loss(self.model, wave_BN, mask_BT, targets_BT)
        total = loss.total + 0.0 * self._touched() if self.is_sharded else loss.total
        return total, loss.parts

    def _touched(self) -> Tensor:
        """A number that depends on one parameter, or on all: FSDP needs a gradient of each."""
        parameters = list(self.model.parameters())
        chosen = parameters if self.is_sharded else parameters[:1]
        return torch.stack([p.flatten()[0] for p in chosen]).sum()


class Parallel:
    """Runs the loss on one rank or several; gradients are the sum over all ranks.

    ddp: every rank has a copy of the model.  fsdp: the state of the optimiser is sharded among the
    ranks; parameters are gathered for every micro-batch, and gradients are whole until their sum.
    """

    def __init__(
        self, model: AudioModel, objective: Objective, precision: TrainPrecision, sharding: Sharding
    ) -> None:
        self.is_sharded = n_ranks() > 1 and sharding == "fsdp"
        self.plain = model
        # Sharding replaces the parameters, so it has a copy; the other one leaves the GPU.
        self.model = copy.deepcopy(model) if self.is_sharded else model
        if self.is_sharded:
            self.plain.cpu()
        self.module = LossModule(self.model, objective, precision, is_sharded=self.is_sharded)
        self.run: torch.nn.Module = self.module
        if self.is_sharded:
            # Imported here: this takes seconds.
            from torch.distributed.fsdp import fully_shard

            # One group: with layers in groups of their own, ranks that drop different layers
            # would wait for each other for ever.
            fully_shard(self.run)
        elif n_ranks() > 1:
            device = next(model.parameters()).device
            with warnings.catch_warnings():
                # Renamed after PyTorch 2.8; `BatchStatistics` keeps buffers equal.
                warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
                self.run = DistributedDataParallel(
                    self.run,
                    device_ids=None if device.type == "cpu" else [device],
                    # Dropped layers and, without some losses, heads have no gradient in a step.
                    find_unused_parameters=True,
                    gradient_as_bucket_view=True,
                    broadcast_buffers=False,
                )

    def loss(self, wave_BN: Tensor, mask_BT: Tensor, targets_BT: Tensor | None) -> Loss:
        """Loss of a micro-batch."""
        total, parts = self.run(wave_BN, mask_BT, targets_BT, 0.0)
        return Loss(total, parts)

    def absent(self, value: float) -> Tensor:
        """Loss of a rank without a batch, 0 or nan: it only takes part in the sum of gradients."""
        total: Tensor
        total, _ = self.run(None, None, None, value)
        return total

    def syncing(self, is_last: bool) -> AbstractContextManager[object]:
        """Context of a micro-batch; gradients are summed over the ranks in the last one alone."""
        if isinstance(self.run, DistributedDataParallel) and not is_last:
            return self.run.no_sync()
        if self.is_sharded:
            self.run.set_requires_gradient_sync(is_last)  # type: ignore[operator]
        return nullcontext()

    def finish(self) -> None:
        """Copies the trained parameters to the model that was given."""
        if self.is_sharded:
            self.plain.load_state_dict(gathered(self.model.state_dict()))


class BatchStatistics:
    """Running statistics of batch norm, averaged over all micro-batches of an update.

    So they do not depend on how micro-batches are shared out among ranks.
    """

    def __init__(self, model: torch.nn.Module, n_micro: int) -> None:
        self.is_averaged = n_micro > 1
        self.buffers = [
            buffer
            for module in model.modules()
            if isinstance(module, _BatchNorm)
            for buffer in module.buffers()
        ]

    @torch.no_grad()
    def begin(self) -> None:
        """Begins an update."""
        self.before = [buffer.clone() for buffer in self.buffers]
        self.sums = [torch.zeros_like(b, dtype=torch.double) for b in self.buffers]
        self.n = 0

    @torch.no_grad()
    def add(self) -> None:
        """Keeps the statistics after a micro-batch, and restores those before it."""
        if not self.is_averaged:
            return
        for buffer, before, total in zip(self.buffers, self.before, self.sums, strict=True):
            total += buffer
            buffer.copy_(before)
        self.n += 1

    @torch.no_grad()
    def end(self) -> None:
        """Sets the mean over the micro-batches of all ranks."""
        if not self.buffers or not self.is_averaged:
            return
        sums = torch.cat([total.flatten() for total in self.sums])
        if n_ranks() > 1:
            torch.distributed.all_reduce(sums)
        n = sum(exchange(self.n))
        if n:
            sizes = [b.numel() for b in self.buffers]
            for buffer, total in zip(self.buffers, torch.split(sums, sizes), strict=True):
                buffer.copy_((total / n).view_as(buffer))

    @torch.no_grad()
    def undo(self) -> None:
        """Goes back to the statistics before a skipped update."""
        for buffer, before in zip(self.buffers, self.before, strict=True):
            buffer.copy_(before)


@contextmanager
def compiled_layers(model: AudioModel, is_compiled: bool) -> Iterator[None]:
    """Compiles front end, positional convolution and encoder layers inside the context.

    One compilation serves all layers with equal shapes, for any lengths.  The names of parameters
    stay.
    """
    # A convolutional front end reads and writes the largest tensors of a step.
    before = (model.front_end, getattr(model.encoder, "position", None))
    modules = [*before, *model.encoder.layers] if is_compiled else []
    # A filterbank is one product of small tensors, and has no gradient.
    compiled = [m for m in modules if m is not None and not isinstance(m, Filterbank)]
    for module in compiled:
        module.compile(dynamic=True)
    try:
        yield
    finally:
        for module in compiled:
            module._compiled_call_impl = None
