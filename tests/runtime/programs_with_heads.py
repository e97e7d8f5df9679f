"""Small programs with a head of every kind."""

import numpy as np
from program_parts import PLAIN, floats, front_end

from earbit.export.program import Program, write_program

SYMBOLS = ["<blank>", "a", " ", "é", "th ", "<2>"]
SLOTS = (("dim", "raise"), ("heat", "light", "ä b"))


def linear(program, value, seed, n_out, width=12, kernel=1):
    ints = {**PLAIN, "kernel": kernel}
    tensors = {"weight": floats(seed, n_out, kernel * width), "bias": floats(seed + 1, n_out)}
    return program.add("conv_f32", [value], ints=ints, tensors=tensors)


def classes(program, first):
    mean = program.add("mean_frames", [first])
    head = {"kind": "class", "value": linear(program, mean, 60, 3), "labels": ["yes", "nö", "_"]}
    return {**head, "min_log_odds": 0.25}


def keywords(program, first):
    """The last label is the score of no keyword."""
    mean = program.add("mean_frames", [first])
    labels = ["yes", "nö", "_none_"]
    value = linear(program, mean, 70, 3)
    return {"kind": "class", "value": value, "labels": labels, "min_log_odds": 0.0}


def slots(program, first):
    mean = program.add("mean_frames", [program.add("gelu", [first])])
    labels = [label for slot in SLOTS for label in slot]
    value = linear(program, mean, 62, len(labels))
    return {"kind": "class", "value": value, "labels": labels, "slots": [2, 3]}


def not_finite(program, first):
    """One score is infinite for every audio."""
    mean = program.add("mean_frames", [first])
    tensors = {"weight": np.zeros((3, 12), np.float32), "bias": np.float32([1, 3e38, 2])}
    value = program.add("conv_f32", [mean], ints=PLAIN, tensors=tensors)
    value = program.add("add", [value, value])
    return {"kind": "class", "value": value, "labels": ["yes", "no", "_"]}


def sequence(program, first):
    return {"kind": "sequence", "value": linear(program, first, 64, 6), "labels": SYMBOLS}


def vector(program, first):
    """Needs 60 frames of 10 samples."""
    seen = linear(program, first, 66, 7, kernel=60)
    value = program.add("mean_frames", [program.add("relu", [seen])])
    return {"kind": "vector", "value": value, "labels": []}


def segments(program, first):
    labels = ["speaker 1", "speaker 2"]
    return {"kind": "segments", "value": linear(program, first, 68, 2), "labels": labels}


HEADS = {
    head.__name__: head
    for head in (classes, keywords, not_finite, slots, sequence, vector, segments)
}


def write_head(folder, name):
    """Writes NAME.safetensors."""
    program = Program()
    first = front_end(program, 12)
    program.outputs = [first]
    program.head = {"task": "t", **HEADS[name](program, first)}
    write_program(program, folder / f"{name}.safetensors", {"name": name})
    return folder / f"{name}.safetensors"


def write_heads(folder):
    for name in HEADS:
        write_head(folder, name)
