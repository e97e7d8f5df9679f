"""Program files made from their bytes."""

import json
import struct

import pytest

from earbit.errors import FormatError
from earbit.runtime import Session

RELU = {"op": "relu", "inputs": [0], "ints": {}, "floats": {}, "tensors": {}}
NORM = {**RELU, "op": "layer_norm", "floats": {"eps": 1.0}, "tensors": {"weight": "w", "bias": "b"}}
PROGRAM = {"format": "earbit-program-1", "ops": [RELU], "outputs": [1], "bits": {}, "origin": {}}
W = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
B = {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}


def header(program=PROGRAM, **tensors):
    text = program if isinstance(program, str) else json.dumps(program)
    return json.dumps({"__metadata__": {"earbit": text}, **tensors}, separators=(",", ":"))


def write(path, text, data=b"", length=None):
    raw = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def refused(path, match):
    with pytest.raises(FormatError, match=match) as error:
        Session(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    return message
