"""Limits of the interpreter of pickles: the work is bounded by the size of a pickle."""

import struct

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
    many = b"(" + b"N" * 17 + b"t"
    for key, message in ((many, "of 17 items"), (text("a" * 1025), "of 1025 characters")):
        with pytest.raises(FormatError, match=f"a key {message}"):
            read_pickle(b"\x80\x02}" + key + b"Ns.")


def test_a_key_may_be_a_short_tuple():
    assert read_pickle(b"\x80\x02}K\x01K\x02\x86Ns.")[0] == {(1, 2): None}


def test_a_persistent_id_of_many_items_is_refused():
    start = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04"
    assert read_pickle(b"\x80\x02" + start + b"tQ.")[0].n_elements == 4
    with pytest.raises(FormatError, match="persistent id"):
        read_pickle(b"\x80\x02" + start + b"N" * 100_000 + b"tQ.")
