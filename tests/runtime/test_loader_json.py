"""The JSON of program files, byte by byte: what is none, and what comes back as Python reads it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_bytes import PROGRAM, header, refused, write

from earbit.runtime import Session
from earbit.runtime.program_file import read_program


def test_keys_in_any_order_white_space_and_foreign_metadata_are_allowed(tmp_path):
    program = json.dumps(dict(reversed(PROGRAM.items())), indent=3)
    text = json.dumps({"__metadata__": {"format": "pt", "earbit": program}}, indent=1)
    assert Session(write(tmp_path / "p", text + "  \n ")).outputs == (1,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1",
        '{"a":1,}',
        "{'a':1}",
        '{"a" 1}',
        '{"a":1 "b":2}',
        "[1,]",
        "[,1]",
        "{}{}",
        "{} x",
        '{"a":01}',
        '{"a":+1}',
        '{"a":1.}',
        '{"a":.5}',
        '{"a":1e}',
        '{"a":-}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":True}',
        '{"a":nul}',
        '{"a":"\\x"}',
        '{"a":"\\u12g4"}',
        '{"a":"\\ud800"}',
        '{"a":"\\ud800\\u0041"}',
        '{"a":"\\udc00"}',
        '{"a":"\t"}',
        '{"a":"',
        '{"a":"\\',
        '{"a":"\\u',
        '{"a":/**/1}',
        '\ufeff{"a":1}',
        b'{"a":"\x80"}',
        b'{"a":"\xc0\x80"}',
        b'{"a":"\xe0\x80\x80"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xf4\x90\x80\x80"}',
        b'{"a":"\xf8\x88\x80\x80\x80"}',
        b'{"a":"\xe2\x82"}',
        b'{"a":1}\x00',
        b'\x00{"a":1}',
    ],
    ids=repr,
)
def test_what_is_no_json_is_refused_with_the_byte(tmp_path, text):
    refused(write(tmp_path / "p", text), r"byte \d+ of the JSON text: ")


def test_depth_is_limited_in_the_header_and_in_the_program(tmp_path):
    def nested(n):
        # the program and its origin are two levels themselves
        return json.dumps(PROGRAM)[:-3] + '{"a":' + "[" * (n - 2) + "]" * (n - 2) + "}}"

    assert Session(write(tmp_path / "p", header(nested(32)))).origin != {}
    refused(write(tmp_path / "p", header(nested(33))), "nested more than 32 deep")
    refused(write(tmp_path / "p", header(nested(10**6))), "nested more than 32 deep")
    refused(write(tmp_path / "p", "[" * 10**6), "nested more than 32 deep")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(
    origin=st.dictionaries(st.text("abcäß€😀", min_size=1), JSON, max_size=4), ascii=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_the_origin_comes_back_as_python_reads_it(tmp_path_factory, origin, ascii):
    program = json.dumps({**PROGRAM, "origin": origin}, ensure_ascii=ascii)
    text = json.dumps({"__metadata__": {"earbit": program}}, ensure_ascii=ascii)
    path = tmp_path_factory.getbasetemp() / "origin"
    assert read_program(write(path, text)).origin == origin
