"""Connecting the ranks of a launcher."""

import pytest
import torch

from earbit import distributed
from earbit.errors import ConfigError


def test_ranks_that_do_not_come_are_counted_in_one_line(monkeypatch):
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    launcher = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "RANK": "1",
        "WORLD_SIZE": "3",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "CONNECT_WITHIN_S", 0.3)
    with (
        pytest.raises(ConfigError, match=r"^2 of 3 ranks did not connect .* 0.3 s \(rank 0, 2\)"),
        distributed.process_group(),
    ):
        pytest.fail("connected without the others")
    # The line is printed once.
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit), distributed.process_group():
        pytest.fail("connected without the others")
