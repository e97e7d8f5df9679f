"""Limits of the interpreter of pickles: the work is bounded by the size of a pickle."""

import itertools
import pickle
import struct
import sys

import pytest

from earbit.errors import FormatError
from earbit.hub.pickle_machine import read_pickle

ORDERED = b"ccollections\nOrderedDict\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def calls_with_one_list(n_pairs, n_calls):
    """Calls of OrderedDict, all with the same list of pairs."""
    pairs = b"".join(b"J" + struct.pack("<i", i) + b"N\x86" for i in range(n_pairs))
    arguments = b"](" + pairs + b"e\x85q\x01" + ORDERED + b"q\x02"
    return b"\x80\x02]" + arguments + b"00" + b"(" + b"h\x02h\x01R" * n_calls + b"e."


def test_pairs_of_calls_are_dictionaries():
    value, _, _ = read_pickle(calls_with_one_list(3, 2))
    assert value == [{0: None, 1: None, 2: None}] * 2


def test_calls_that_copy_a_list_many_times_are_refused():
    with pytest.raises(FormatError, match="copies more than 500,000 pairs"):
        read_pickle(calls_with_one_list(10_000, 51))


def test_long_keys_are_refused():
    with pytest.raises(FormatError, match="a key of 1025 characters"):
        read_pickle(b"\x80\x02}" + text("a" * 1025) + b"Ns.")


def dictionary_of(*keys):
    """A pickle of a dictionary with these keys, as Python writes it."""
    return read_pickle(pickle.dumps(dict.fromkeys(keys), protocol=2))[0]


def test_plain_keys_stay_as_they_are():
    keys = ["a", "", None, True, 7, -(2**31), 2**31 - 1]
    assert list(dictionary_of(*keys)) == keys


MODULUS = sys.hash_info.modulus
COLLIDING = {
    "numbers": [5 + i * MODULUS for i in range(1, 100)],
    "floats": [2.0 ** (61 * i) for i in range(1, 16)],
    "tuples": list(itertools.product((-1, -2), repeat=6)),
}
"""Keys with one hash, which a dictionary compares with each other."""


@pytest.mark.parametrize("kind", COLLIDING)
def test_keys_that_can_be_chosen_to_have_one_hash_are_wrapped(kind):
    keys = COLLIDING[kind]
    assert len({hash(key) for key in keys}) == 1
    found = list(dictionary_of(*keys))
    assert [key.arguments for key in found] == [(key,) for key in keys]
    assert len({hash(key) for key in found}) == len(keys)


@pytest.mark.parametrize("number", [2**31, MODULUS, -1])
def test_a_number_of_the_memo_that_no_program_writes_is_refused(number):
    assert read_pickle(b"]p7\n0g7\n.")[0] == []
    with pytest.raises(FormatError, match="the pickle writes memo"):
        read_pickle(b"]p%d\n." % number)


def test_a_persistent_id_of_many_items_is_refused():
    start = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04"
    assert read_pickle(b"\x80\x02" + start + b"tQ.")[0].n_elements == 4
    with pytest.raises(FormatError, match="persistent id"):
        read_pickle(b"\x80\x02" + start + b"N" * 100_000 + b"tQ.")
