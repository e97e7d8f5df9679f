"""A program that the verbs run."""

import pytest

from earbit.cli.main import main


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "tiny.safetensors"
    main(["export", "sparseformer-dn-tiny", "--plan", "w1a1", "--out", str(path), "--json", "-"])
    return path
