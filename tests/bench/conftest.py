import pytest

from earbit.export.verb import export_model


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A program of one bit that runs in milliseconds."""
    path = tmp_path_factory.mktemp("cost") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path
