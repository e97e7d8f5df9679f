"""A model file whose metadata parses, but means nothing, is a FormatError that names the file."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from earbit.errors import FormatError
from earbit.load import load_model, random_model
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file, save_model
from earbit.presets import preset


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(random_model(preset("hubert-tiny"), seed=0), path, {"stage": "test"})
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["earbit"])


def with_metadata(path, text):
    save_file({}, path, {"earbit": text})
    return path


def test_the_metadata_as_it_was_written_is_read(header, tmp_path):
    file = read_model_file(with_metadata(tmp_path / "m.safetensors", json.dumps(header)))
    assert file.config == preset("hubert-tiny")
    assert file.origin == {"stage": "test"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("d_model", 100),
        ("dropout", 7.0),
        ("dropout", float("nan")),
        ("position_kernel", -4),
        ("n_layers", False),
        ("n_layers", [[]]),
    ],
)
def test_a_configuration_that_cannot_be_built_is_named(header, key, value, tmp_path):
    encoder = {**header["config"]["encoder"], key: value}
    broken = {**header, "config": {**header["config"], "encoder": encoder}}
    path = with_metadata(tmp_path / "m.safetensors", json.dumps(broken))
    with pytest.raises(FormatError, match=rf"m\.safetensors.*config\.encoder.*{key}"):
        read_model_file(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "3", '{"format": 1}'])
def test_metadata_that_is_no_header_is_a_format_error(text, tmp_path):
    with pytest.raises(FormatError, match=r"m\.safetensors"):
        read_model_file(with_metadata(tmp_path / "m.safetensors", text))


def test_a_huge_configuration_is_refused_before_memory_is_taken(header, tmp_path):
    encoder = {**header["config"]["encoder"], "d_model": 2**19, "d_ffn": 2**19}
    huge = {**header, "config": {**header["config"], "encoder": encoder}}
    path = with_metadata(tmp_path / "m.safetensors", json.dumps(huge))
    with pytest.raises(FormatError, match=r"m\.safetensors: tensors do not fit"):
        load_model(path)


@pytest.mark.parametrize("precisions", [{"encoder.nowhere": [1, 1]}, {"projection": [8, 8]}])
def test_a_precision_that_cannot_be_built_names_the_file(header, precisions, tmp_path):
    broken = {**header, "precisions": precisions}
    path = with_metadata(tmp_path / "m.safetensors", json.dumps(broken))
    with pytest.raises(FormatError, match=r"m\.safetensors"):
        load_model(path)


def test_loading_does_not_import_the_compiler_of_pytorch(tmp_path):
    save_model(random_model(preset("sparseformer-dn-tiny"), 0), tmp_path / "m.safetensors", {})
    code = (
        "import sys; from earbit.load import load_model; load_model(sys.argv[1]);"
        "print('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_digest_of_a_model_without_later_fields_stays_as_it_was():
    model = random_model(preset("hubert-tiny"), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    # Of version 0.1, before fields with the metadata LATER.
    assert weights_digest(model).startswith("d5c59544bc1fe3cfbe1bbe57e7e053af")
