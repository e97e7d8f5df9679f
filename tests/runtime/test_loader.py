"""The loader of program files: what it refuses, byte by byte, and what it keeps.

Files are made from their bytes here; that good ones load is judged by the files of `export`.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from program_bytes import NORM, PROGRAM, RELU, B, W, header, refused, write
from safetensors.numpy import save_file

from earbit import _core
from earbit.errors import FormatError
from earbit.runtime import Session


def test_the_smallest_program_runs(tmp_path):
    audio = np.linspace(-1, 1, 400, dtype=np.float32)
    session = Session(write(tmp_path / "p", header()))
    assert np.array_equal(session.run(audio)[:, 0], np.maximum(audio, 0))


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**8 + 1])
def test_a_header_longer_than_any_may_be_is_refused_with_both_numbers(tmp_path, length):
    path = write(tmp_path / "p", "{}", length=length)
    refused(path, f"not a program: a header of {length} bytes, at most 100000000 are allowed")


@pytest.mark.parametrize("length", [3, 200, 10**8])
def test_a_header_longer_than_its_file_is_said_to_be_cut_short(tmp_path, length):
    path = write(tmp_path / "p", "{}", length=length)
    refused(path, f"cut short, or not a program: 2 of {length} bytes of its header are there")


def test_a_file_of_another_kind_is_called_what_it_is(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", "an empty file; give a file of `earbit export`")
    for content, kind in [
        (b"RIFF\x24\0\0\0WAVEfmt ", r"audio \(wav\)"),
        (b"fLaC\0\0\0\x22", r"audio \(flac\)"),
        (b"OggS\0\2\0\0", r"audio \(ogg\)"),
        (b"ID3\4\0\0\0\0", r"audio \(mp3\)"),
        (b"\xff\xfb\x90\x64\0\0\0\0", r"audio \(mp3\)"),
        (b"PK\3\4\x2d\0\0\0", r"a zip archive \(npz.*\)"),
    ]:
        (tmp_path / "p").write_bytes(content + bytes(100))
        refused(tmp_path / "p", f"this is {kind}, not a program; .*and audio after it")


def test_no_header_of_a_length_that_looks_like_another_kind_is_refused(tmp_path):
    # FF FB 00 .. is the length 0xFBFF, and how an mp3 begins.
    text = header()
    path = write(tmp_path / "p", text + " " * (0xFBFF - len(text)))
    assert path.read_bytes()[:2] == b"\xff\xfb"
    assert Session(path).outputs == (1,)


def test_a_model_given_as_a_program_is_called_one_with_the_command_to_export_it(tmp_path):
    path = tmp_path / "model.safetensors"
    model = {"format": "earbit-model-2", "config": {}}
    save_file({"w": np.ones(3, np.float32)}, path, {"earbit": json.dumps(model)})
    refused(path, rf"this is a model, not a program; .*earbit export {re.escape(str(path))} --out")


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    refused(tmp_path, "a folder, without a model in it; give a file of `earbit export`$")
    (tmp_path / "model.safetensors").touch()
    refused(tmp_path, f"a folder; `earbit export {re.escape(str(tmp_path))} --out")
    (tmp_path / "config.json").write_text('{"model_type": "earbit"}')
    refused(
        tmp_path,
        f"a folder of transformers; `earbit import {re.escape(str(tmp_path))} --out DIR` makes",
    )
    refused(Path(os.devnull), "not a regular file; give a file of `earbit export`")
    refused(tmp_path / ("n" * 500), "cannot be looked at")


@pytest.mark.parametrize("path", ["", b""])
def test_an_empty_path_is_not_taken_for_the_folder_here(path):
    with pytest.raises(FormatError, match="^an empty path"):
        Session(path)


TWO = {"w": W, "b": B}
DATA = bytes(8)
TENSORS = [
    # tensors, data, what the message must say
    ({"w": W}, DATA, "8 bytes of data; the tensors end at 4"),
    (TWO, DATA[:7], "cut short: 7 of 8 bytes of its tensors are there; copy it again"),
    ({**TWO, "b": {**B, "data_offsets": [0, 4]}}, DATA, "begins at byte 0.* ends at 4"),
    ({**TWO, "b": {**B, "data_offsets": [5, 9]}}, bytes(9), "begins at byte 5.* ends at 4"),
    ({**TWO, "b": {**B, "data_offsets": [3, 7]}}, DATA, "begins at byte 3.* ends at 4"),
    ({**TWO, "b": {**B, "data_offsets": [8, 4]}}, DATA, "'b' data_offsets: 4 is no integer"),
    ({**TWO, "b": {**B, "data_offsets": [-4, 0]}}, DATA, "'b' data_offsets: -4 is no integer"),
    ({**TWO, "b": {**B, "data_offsets": [4, 2**64]}}, DATA, "'b' data_offsets: 184467"),
    ({**TWO, "b": {**B, "data_offsets": [4, 8.0]}}, DATA, "'b' data_offsets: 8.0 is no integer"),
    ({**TWO, "b": {**B, "data_offsets": [4]}}, DATA, "'b' data_offsets"),
    ({**TWO, "b": {**B, "data_offsets": "4,8"}}, DATA, "a string, expected an array"),
    ({**TWO, "b": {**B, "shape": [2]}}, DATA, r"4 bytes, which is not what its shape \[2\]"),
    ({**TWO, "b": {**B, "shape": [2**62, 2**62]}}, DATA, "4 bytes, which is not what"),
    ({**TWO, "b": {**B, "shape": [2**32, 2**32, 0]}}, DATA, "4 bytes, which is not what"),
    # 4 bytes, modulo 2**64
    ({**TWO, "b": {**B, "shape": [3, (2**63 + 1) // 3]}}, DATA, "4 bytes, which is not what"),
    ({**TWO, "b": {**B, "shape": [-1]}}, DATA, "'b' shape: -1 is no integer"),
    ({**TWO, "b": {**B, "shape": [1] * 9}}, DATA, "more than 8 sides"),
    ({**TWO, "b": {**B, "shape": 1}}, DATA, "a number, expected an array"),
    ({**TWO, "b": {**B, "dtype": "BF16"}}, DATA, "'BF16'; allowed: F32, I32, U64"),
    ({**TWO, "b": {**B, "dtype": 3}}, DATA, "'b' dtype: a number"),
    ({**TWO, "b": {**B, "more": 3}}, DATA, "'b': more than dtype, shape, data_offsets"),
    ({**TWO, "b": {"dtype": "F32", "shape": [1]}}, DATA, "'b': no data_offsets"),
    ({**TWO, "b": [1]}, DATA, "'b': an array, expected an object"),
    ({"w": W}, DATA[:4], "op 0: tensor 'bias' is 'b', which is not in the file"),
    ({**TWO, "c": {**B, "data_offsets": [8, 12]}}, bytes(12), "'c': no op reads it"),
]


@pytest.mark.parametrize(("tensors", "data", "match"), TENSORS)
def test_a_tensor_that_does_not_lie_in_the_file_as_it_says_is_refused_by_name(
    tmp_path, tensors, data, match
):
    program = {**PROGRAM, "ops": [NORM]}
    assert Session(write(tmp_path / "good", header(program, **TWO), DATA)).outputs == (1,)
    refused(write(tmp_path / "p", header(program, **tensors), data), match)


def test_an_empty_tensor_at_any_border_is_allowed_by_the_format_and_refused_by_the_op(tmp_path):
    empty = {**B, "shape": [0], "data_offsets": [4, 4]}
    path = write(tmp_path / "p", header({**PROGRAM, "ops": [NORM]}, w=W, b=empty), DATA[:4])
    refused(path, r"op 0 \(layer_norm\): tensor 'bias' is float32 \(0\), expected float32 \(1\)")


def test_tensors_need_no_alignment_in_the_file(tmp_path):
    random = np.random.default_rng(0)
    weight, bias = random.standard_normal((2, 1)).astype(np.float32)
    results = []
    for pad in range(8):
        text = header({**PROGRAM, "ops": [NORM]}, **TWO) + " " * pad
        path = write(tmp_path / "p", text, weight.tobytes() + bias.tobytes())
        results.append(Session(path).run(np.ones(400, np.float32)).tobytes())
    assert set(results) == {np.full(400, bias[0]).tobytes()}


def test_a_key_that_occurs_twice_is_refused_by_name(tmp_path):
    good = header({**PROGRAM, "ops": [NORM]}, **TWO)
    refused(write(tmp_path / "p", good.replace('"b":', '"w":', 1), DATA), "header: 'w' twice")
    twice = json.dumps(PROGRAM).replace('"ints": {}', '"ints": {"a": 1, "\\u0061": 2}')
    refused(write(tmp_path / "p", header(twice)), "op 0 ints: 'a' twice")


@pytest.mark.parametrize("kinds", [("ints", "floats"), ("ints", "tensors"), ("floats", "tensors")])
def test_an_attribute_of_two_kinds_is_refused_by_name(tmp_path, kinds):
    # Each alone is one that the op has, or is refused as left over.
    values = {"ints": 1, "floats": 1.0, "tensors": "b"}
    name = "bias" if "tensors" in kinds else "eps"
    twice = {kind: NORM[kind] | {name: values[kind]} for kind in kinds}
    path = write(tmp_path / "p", header({**PROGRAM, "ops": [{**NORM, **twice}]}, **TWO), DATA)
    refused(path, rf"op 0 \(layer_norm\): '{name}' is given twice")


def test_a_tensor_that_two_ops_read_is_refused_by_name(tmp_path):
    program = {**PROGRAM, "ops": [NORM, {**NORM, "inputs": [1]}]}
    refused(write(tmp_path / "p", header(program, **TWO), DATA), "op 1: .*which another op has")


def replaced(**changes):
    return {**PROGRAM, "ops": [{**RELU, **changes}]}


PROGRAMS = [
    ([], "program: an array, expected an object"),
    ({**PROGRAM, "format": "earbit-program-2", "new": 1}, 'format "earbit-program-2", this ver'),
    ({**PROGRAM, "format": 1}, "format: a number, expected a string"),
    ({**PROGRAM, "new": 1}, "'new', which this version does not know"),
    ({k: v for k, v in PROGRAM.items() if k != "bits"}, "program: no 'bits'"),
    ({**PROGRAM, "ops": {}}, "ops: an object, expected an array"),
    ({**PROGRAM, "ops": []}, "0 ops; allowed: 1 to 10000"),
    ({**PROGRAM, "ops": [0] * 10_001}, "10001 ops; allowed: 1 to 10000"),
    ({**PROGRAM, "ops": [None]}, "op 0: null, expected an object"),
    ({**PROGRAM, "outputs": []}, "no outputs"),
    ({**PROGRAM, "outputs": [1, 1]}, "outputs: a value twice"),
    ({**PROGRAM, "outputs": [2]}, "outputs: value: 2 is no integer from 0 to 1"),
    ({**PROGRAM, "bits": {"leaf": 2}}, "bits of 'leaf': value: 2 is no integer from 0 to 1"),
    ({**PROGRAM, "bits": []}, "bits: an array"),
    ({**PROGRAM, "origin": None}, "origin: null, expected an object"),
    (replaced(op="system"), r"op 0 \(system\): unknown op 'system'; known are"),
    (replaced(op=""), 'op 0 op: "" is no name'),
    (replaced(op="a\nb"), "op 0 op: .* is no name"),
    (replaced(op="x" * 257), 'op 0 op: "xxx.*is no name'),
    # cut short in the middle of a character
    (json.dumps(replaced(op="ü" * 200), ensure_ascii=False), 'op 0 op: "ü.*is no name'),
    (replaced(inputs=[1]), "op 0 inputs: value: 1 is no integer from 0 to 0"),
    (replaced(inputs=[True]), "op 0 inputs: value: true is no integer"),
    (replaced(inputs=[0, 0]), r"op 0 \(relu\): 2 inputs, expected 1"),
    (replaced(ints={"a": 2**31}), "op 0: a: 2147483648 is no integer from -2147483647 to"),
    (replaced(ints={"a": 1.0}), "op 0: a: 1.0 is no integer"),
    (replaced(ints={"a": "1"}), 'op 0: a: "1" is no integer'),
    (replaced(floats={"a": 10**400}), r"op 0: a: 1000+\.\.\. is no finite number"),
    (replaced(floats={"a": "1"}), 'op 0: a: "1" is no finite number'),
    (replaced(ints={"a": 1}), r"op 0 \(relu\): this op has no 'a'"),
    (replaced(more={}), "op 0: 'more', which this version does not know"),
    ({**PROGRAM, "ops": [{"op": "relu"}]}, "op 0: no 'inputs'"),
    (replaced(tensors={"w": 1}), "op 0: tensor 'w': a number, expected a string"),
    (replaced(tensors={"w": "/etc/passwd"}), "is '/etc/passwd', which is not in the file"),
]


@pytest.mark.parametrize(("program", "match"), PROGRAMS)
def test_a_program_that_does_not_hold_is_refused_with_the_place(tmp_path, program, match):
    refused(write(tmp_path / "p", header(program)), match)


def test_a_small_file_may_not_ask_for_wide_values_again_and_again(tmp_path):
    n = 4096
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    first = {**RELU, "op": "conv_f32", "ints": ints, "tensors": {"weight": "w"}}

    def program(n_ops):
        ops = [first, *({**RELU, "inputs": [1]} for _ in range(n_ops))]
        save_file(
            {"w": np.ones((n, 1), np.float32)},
            tmp_path / "p",
            {"earbit": json.dumps({**PROGRAM, "ops": ops})},
        )
        return tmp_path / "p"

    assert Session(program(10)).outputs == (1,)
    message = refused(program(60), "bytes a frame so far")
    asked, size, limit = map(int, re.findall(r"\d{5,}", message)[-3:])
    assert (size, limit) == ((tmp_path / "p").stat().st_size, 16 * size)
    assert limit < asked <= limit + 4 * n


def test_a_sparse_file_of_a_gigabyte_costs_nothing_to_refuse(tmp_path):
    path = write(tmp_path / "p", header())
    with open(path, "r+b") as file:
        file.truncate(2**30)
    refused(path, "bytes of data; the tensors end at 0")


def test_a_tensor_of_python_that_is_not_aligned_is_refused_by_name():
    threshold = np.frombuffer(bytes(5), np.uint8)[1:].view(np.float32)
    with pytest.raises(ValueError, match="threshold"):
        _core.Program().add("pack", [0], {"groups": 1}, {}, {"threshold": threshold})
