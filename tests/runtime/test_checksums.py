"""Checksums of a program's data: one flipped bit is found and named, and files without any load."""

import json
import struct

import numpy as np
import pytest
from small_programs import PLAIN, floats, packed

from earbit.errors import FormatError
from earbit.export.checksum import checksum
from earbit.export.program import WAVEFORM, Program, write_program
from earbit.runtime import Session

N_COLS = 5


def by_the_letter(octets):
    """The checksum as docs/format.md says it, one integer after the other."""
    octets += bytes(-len(octets) % 8)
    total = 0
    for i, (x,) in enumerate(struct.iter_unpack("<Q", octets), 1):
        x = (x + i * 0x9E3779B97F4A7C15) % 2**64
        for _ in range(2):
            x = (x ^ x >> 32) * 0xD6E8FEB86659FD93 % 2**64
        total += x ^ x >> 32
    return f"{total % 2**64:016x}"


@pytest.fixture
def path(tmp_path):
    program = Program()
    weight = {"weight": floats(1, N_COLS, 4), "bias": floats(2, N_COLS)}
    rows = program.add("conv_f32", [WAVEFORM], ints=PLAIN | {"kernel": 4}, tensors=weight)
    packed(program, rows, N_COLS)
    program.outputs = [rows]
    write_program(program, tmp_path / "p.safetensors", {})
    return tmp_path / "p.safetensors"


def parts(path):
    """The header, the program in it, and the data."""
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + n])
    return header, json.loads(header["__metadata__"]["earbit"]), raw[8 + n :]


def rewritten(path, change):
    header, program, data = parts(path)
    change(program)
    header["__metadata__"] = {"earbit": json.dumps(program)}  # and no checksum of it
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_an_exported_file_has_the_checksum_of_every_tensor(path):
    header, program, data = parts(path)
    del header["__metadata__"]
    expected = {
        name: by_the_letter(data[slice(*record["data_offsets"])]) for name, record in header.items()
    }
    assert len(expected) == 3
    assert program["checksums"] == expected


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000, 123_457])
def test_checksums_of_any_length_are_those_of_the_letter(n):
    octets = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    assert checksum(octets) == by_the_letter(octets.tobytes())


def test_every_flipped_bit_of_the_data_is_found_in_its_tensor(path):
    header, program, data = parts(path)
    whole = path.read_bytes()
    start = len(whole) - len(data)
    del header["__metadata__"]
    for bit in range(8 * len(data)):
        raw = bytearray(whole)
        raw[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with pytest.raises(FormatError, match="the file is damaged: the checksum of") as error:
            Session(path)
        names = [n for n, r in header.items() if r["data_offsets"][0] <= bit // 8]
        name = max(names, key=lambda n: header[n]["data_offsets"][0])
        said = f"tensor '{name}' is "
        assert said in str(error.value)
        assert f"its header says {program['checksums'][name]}; copy or" in str(error.value)


def test_signs_of_two_numbers_that_turn_together_are_found(path):
    _, _, data = parts(path)
    whole = bytearray(path.read_bytes())
    for place in (7, 15):
        whole[len(whole) - len(data) + place] ^= 0x80
    path.write_bytes(whole)
    with pytest.raises(FormatError, match="damaged"):
        Session(path)


def test_a_file_without_checksums_loads(path):
    audio = np.linspace(-1, 1, 400, dtype=np.float32)
    expected = Session(path).run(audio)
    rewritten(path, lambda program: program.pop("checksums"))
    assert np.array_equal(Session(path).run(audio), expected)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda sums: sums.pop("0.bias"), "checksums: none of tensor '0.bias'"),
        (lambda sums: sums.update(x="0" * 16), "checksums: 'x', which is not in the file"),
        (lambda sums: sums.update({"0.bias": 3}), "checksum of '0.bias': a number"),
        (lambda sums: sums.update({"0.bias": "0" * 16}), "header says 0000000000000000"),
    ],
)
def test_checksums_that_are_not_of_all_tensors_are_refused_by_name(path, change, match):
    rewritten(path, lambda program: change(program["checksums"]))
    with pytest.raises(FormatError, match=match):
        Session(path)


def test_an_exported_file_has_the_checksum_of_its_program(path):
    metadata = parts(path)[0]["__metadata__"]
    assert metadata["earbit-checksum"] == by_the_letter(metadata["earbit"].encode())


def test_no_flipped_bit_of_a_header_changes_what_a_program_computes(path):
    whole = path.read_bytes()
    (n,) = struct.unpack("<Q", whole[:8])
    audio = np.sin(np.arange(800) / 9).astype(np.float32)
    session = Session(path)
    expected = session.run(audio)
    n_damaged = 0
    for at in range(8 + n):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 7
        path.write_bytes(flipped)
        try:
            damaged = Session(path)
        except FormatError as error:
            n_damaged += "the file is damaged" in str(error)
        else:
            assert (damaged.origin, damaged.bits) == (session.origin, session.bits)
            assert np.array_equal(damaged.run(audio), expected)
    assert n_damaged > n / 3
