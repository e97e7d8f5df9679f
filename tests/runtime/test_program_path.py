"""What is said of a path that is no program: a head, a mistyped name, the content of a file."""

import json
import re

import numpy as np
import pytest
from program_bytes import refused
from safetensors.numpy import save_file

from earbit.errors import ConfigError, FormatError
from earbit.runtime import Session


def test_a_head_given_as_a_program_is_called_one_with_the_command_to_pack_it(tmp_path):
    path = tmp_path / "head.safetensors"

    def write_metadata(name):
        tensors = {"w": np.ones(3, np.float32)}
        save_file(tensors, path, {"earbit": json.dumps({"format": name})})

    write_metadata("earbit-head-1")
    packs = f"earbit export MODEL --head {tmp_path} --out PROGRAM.safetensors"
    refused(path, f"this is the head of a task, not a program; .*{re.escape(packs)}")
    write_metadata("earbit-kmeans-1")
    refused(path, r"format \"earbit-kmeans-1\", .*; give a file of `earbit export`$")
    write_metadata("earbit-program-9")
    refused(path, r"format \"earbit-program-9\", .*; export the model again$")


def test_a_mistyped_path_is_answered_with_near_names_and_only_a_word_with_an_export(tmp_path):
    def said(name):
        with pytest.raises(FormatError) as error:
            Session(name)
        return str(error.value)

    missing = tmp_path / "wrds.safetensors"
    assert said(missing) == f"{missing}: no such file; check the path"
    (tmp_path / "words.safetensors").touch()
    (tmp_path / "words.npz").touch()
    near = "; check the path; near names there: words.safetensors"
    assert said(missing).endswith(near)
    assert said(tmp_path / "words").endswith("words.npz, words.safetensors")
    assert said("nope-tiny") == (
        "nope-tiny: no such file; check the path; `earbit export nope-tiny --plan w1a1 --out "
        "FILE.safetensors` makes a program of a preset"
    )


@pytest.mark.parametrize("content", [b"\x10\0\0\0{}", b"x" * 200_000, "y" * 5_000])
def test_the_content_of_a_file_given_as_its_path_is_refused_in_one_short_line(content):
    with pytest.raises(ConfigError, match="give the path of a file of `earbit export`") as error:
        Session(content)
    assert len(str(error.value)) < 300
