"""What fine-tunings start from."""

import pytest
import torch
from tuning import tune, write_model, write_notes

from earbit.superb import rejection


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session", autouse=True)
def _few_noises():
    """Every fine-tuning on keywords would hear 320 clips of noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "N_NOISES", {"train": 8, "valid": 4, "test": 4})
        yield


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    root = tmp_path_factory.mktemp("notes")
    write_notes(root)
    return root


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "float")


@pytest.fixture(scope="session")
def tuned(model, notes, tmp_path_factory):
    """The folder of a fine-tuning that has learned the notes."""
    folder = tmp_path_factory.mktemp("tuned") / "float-ks"
    assert tune(model, notes, folder, n_steps=40)["value"] == 1.0
    return folder
