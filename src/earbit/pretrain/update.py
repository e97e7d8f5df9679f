"""One update of a pre-training: losses and gradients of micro-batches, agreed on by all ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from earbit.distributed import exchange, n_ranks, rank, total
from earbit.errors import DataError
from earbit.nn.devices import moved
from earbit.nn.finite import first_non_finite
from earbit.nn.seeds import DROPOUT, step_seed
from earbit.pretrain.blame import non_finite_gradient
from earbit.pretrain.data import MicroBatch
from earbit.pretrain.faults import REMEDY, Fault, Skips
from earbit.pretrain.optimiser import lr_at, set_lr
from earbit.pretrain.parallel import BatchStatistics, Parallel
from earbit.pretrain.steps import apply_gradient
from earbit.pretrain.train_config import TrainConfig


def on(device: torch.device, batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor | None]:
    """Audio, mask and targets of a micro-batch on a device."""
    targets_BT = None if batch.targets_BT is None else moved(batch.targets_BT, device)
    return moved(batch.waveforms, device), moved(batch.mask_BT, device), targets_BT


class Update:
    """Applies updates, or skips them on all ranks if a loss or a gradient is not finite."""

    def __init__(
        self,
        parallel: Parallel,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        config: TrainConfig,
        out_dir: Path,
        device: torch.device,
        n_micro: int,
    ) -> None:
        self.parallel, self.optimiser, self.scaler = parallel, optimiser, scaler
        self.config, self.out_dir, self.device = config, out_dir, device
        self.statistics = BatchStatistics(parallel.model, n_micro)
        self.names: list[str] | None = None

    def resume(self, step: int) -> None:
        """Begins after `step` updates."""
        self.scaler.scale(torch.zeros((), device=self.device))  # it begins to exist here
        self.skips = Skips(self.out_dir, self.config.max_skipped_steps, step)

    def __call__(self, batches: Sequence[MicroBatch], step: int) -> dict[str, float]:
        """One update; returns the scalars to log, without `loss` if it is skipped.

        The loss of a micro-batch has the weight of its share of the masked frames.
        Raises DataError, naming step, clips and module, if too many in a row are skipped.
        """
        lr = lr_at(step, self.config.optimiser)
        set_lr(self.optimiser, lr)
        self.optimiser.zero_grad(set_to_none=True)
        (n_masked,) = total([sum(b.n_masked for b in batches)])
        if not n_masked:
            ids = tuple(name for batch in batches for name, _ in batch.unreadable)
            self.skips.add(exchange(Fault(step, rank(), ids, "no clip can be read", True)))
            return {"skipped": 1.0, "lr": lr}
        self.statistics.begin()
        sums, fault = self._gradients(batches, n_masked, step)
        sums = self._summed(sums, fault)
        norm, outcome = apply_gradient(
            self.parallel.model,
            self.optimiser,
            self.scaler,
            max_gradient_norm=self.config.optimiser.max_gradient_norm,
            is_finite=math.isfinite(sums["loss"]),
        )
        scale = {"loss_scale": self.scaler.get_scale()} if self.scaler.is_enabled() else {}
        if outcome == "applied":
            self.statistics.end()
            self.skips.end()
            return {**sums, "gradient_norm": norm, "lr": lr, "n_masked": int(n_masked), **scale}
        if outcome == "not finite":
            self._record(batches, fault, norm, step)
        self.statistics.undo()
        self.optimiser.zero_grad(set_to_none=True)
        return {"skipped": 1.0, "lr": lr, **scale}

    def _gradients(
        self, batches: Sequence[MicroBatch], n_masked: float, step: int
    ) -> tuple[dict[str, float], Fault | None]:
        """Gradients of all micro-batches; their weighted scalars, and this rank's fault if any."""
        fault: Fault | None = None
        weighted: list[tuple[float, dict[str, Tensor]]] = []
        for i, batch in enumerate(batches):
            is_last = i == len(batches) - 1
            with self.parallel.syncing(is_last):
                if not batch.ids or fault is not None:
                    self._stay_absent(is_last, math.nan if fault else 0.0)
                    continue
                share = batch.n_masked / n_masked
                try:
                    parts = self._backward(batch, share)
                except DataError as error:
                    fault = Fault(step, rank(), batch.ids, str(error), True)
                    self._stay_absent(is_last, math.nan)
                    continue
                weighted.append((share, parts))
                self.statistics.add()
        sums: dict[str, float] = {}
        # Read in the end, all at once, so that a GPU need not wait for them.
        values = [torch.stack([t.float() for t in parts.values()]) for _, parts in weighted]
        rows = torch.stack(values).tolist() if values else []
        present = [batch for batch in batches if batch.ids]
        for (share, parts), row, batch in zip(weighted, rows, present, strict=False):
            for name, value in zip(parts, row, strict=True):
                sums[name] = sums.get(name, 0.0) + share * value
            if fault is None and not math.isfinite(row[0]):
                fault = Fault(step, rank(), batch.ids, self._blame(batch, row[0]), True)
        if fault is not None:
            sums["loss"] = math.nan
        return sums, fault

    def _backward(self, batch: MicroBatch, share: float) -> dict[str, Tensor]:
        """Adds the gradients of a micro-batch; returns its loss and scalars."""
        # Dropout uses torch's global generator.
        torch.manual_seed(step_seed(self.config.seed, batch.number, DROPOUT))
        loss = self.parallel.loss(*on(self.device, batch))
        # Both wrappers divide the sum over ranks by their number.
        self._scaled_backward(share * n_ranks() * loss.total)
        return {"loss": loss.total.detach(), **loss.parts}

    def _stay_absent(self, is_last: bool, value: float) -> None:
        # FSDP gathers the parameters in every micro-batch, which all ranks must take part in.
        if (is_last or self.parallel.is_sharded) and n_ranks() > 1:
            self._scaled_backward(self.parallel.absent(value))

    def _scaled_backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def _summed(self, sums: dict[str, float], fault: Fault | None) -> dict[str, float]:
        """Sums of the scalars over all ranks; a rank without a batch does not know their names."""
        names = self.names
        if names is None:
            of_all = exchange(list(sums) if sums and fault is None else [])
            names = max(of_all, key=len)
            # Kept once a rank knows them, which all ranks find in the same step.
            self.names = names or None
        names = names or ["loss"]
        return dict(zip(names, total([sums.get(name, 0.0) for name in names]), strict=True))

    def _blame(self, batch: MicroBatch, loss: float) -> str:
        """What was not finite first in the loss of a micro-batch."""
        where = None
        if not self.parallel.is_sharded:  # its modules cannot run on one rank alone

            def again() -> None:
                torch.manual_seed(step_seed(self.config.seed, batch.number, DROPOUT))
                module = self.parallel.module
                module(*on(self.device, batch), 0.0)

            where = first_non_finite(self.parallel.model, again)
        first = where or "the loss itself"
        return f"the loss is {loss}, the first output not finite is {first}{REMEDY}"

    def _record(
        self, batches: Sequence[MicroBatch], fault: Fault | None, norm: float, step: int
    ) -> None:
        """Records a step that all ranks skip, with the first cause that this rank knows."""
        # On all ranks: the parts of a gradient that FSDP shares out are gathered.
        where = non_finite_gradient(self.parallel.model)
        if fault is None:
            ids = tuple(name for batch in batches for name in batch.ids)
            what = f"the gradient is {norm}, the first one not finite is that of {where}{REMEDY}"
            fault = Fault(step, rank(), ids, what, False)
        self.skips.add(exchange(fault))
