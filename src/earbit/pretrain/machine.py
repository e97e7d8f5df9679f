"""Settings of a training that depend on the machine and do not determine its result.

They are left out of the comparison of runs, so a run may be resumed with others.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from earbit.errors import ConfigError, require_choice, require_range

Sharding = Literal["ddp", "fsdp"]
DEVICES = "auto, cpu, cuda, cuda:N"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Device, compiler, processes and memory of a training."""

    device: str = "auto"
    """auto (CUDA if there is a GPU), cpu, cuda or cuda:N; a rank of torchrun takes its own GPU."""
    compile: bool = False
    """Whether front end and layers of the encoder are compiled by torch.compile."""
    workers: int = -1
    """Processes that decode audio; -1 chooses by the cores, 0 decodes in the process itself."""
    sharding: Sharding = "ddp"
    """Several ranks: copies of the model (ddp), or also divided state of the optimiser (fsdp)."""
    keep_in_memory_gb: float = 1.0
    """Each rank keeps decoded audio if that of the whole corpus takes at most this much memory."""

    def __post_init__(self) -> None:
        check_device_name(self.device)
        require_choice(get_args(Sharding), sharding=self.sharding)
        require_range(-1, 1024, workers=self.workers)
        require_range(0, math.inf, keep_in_memory_gb=self.keep_in_memory_gb)


def check_device_name(device: str) -> None:
    """Raises ConfigError for a device that earbit does not know."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device={device!r}; allowed: {DEVICES}")
