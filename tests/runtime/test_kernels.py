"""Every kernel that this CPU runs, held against numpy's own count of bits."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packed_reference import packed

import earbit
from earbit import _core

ISAS = [k["isa"] for k in _core.kernels() if k["op"] == "gemm_b1" and k["available"]]
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 31, 32, 33, 63, 64, 65, 97, 127, 128, 129)


def counted(a, w, is_and):
    pairs = a[:, None] & w[None] if is_and else a[:, None] ^ w[None]
    return np.bitwise_count(pairs).sum(-1, dtype=np.int64)


def random_words(random, shape):
    """Words of random density, so that counts reach both ends of their range."""
    bits = random.random((*shape, 64)) < random.choice([0.02, 0.5, 0.98])
    return packed(bits)[..., 0]


@pytest.mark.parametrize("is_and", [False, True], ids=["xor", "and"])
@pytest.mark.parametrize("isa", ISAS)
def test_counts_equal_numpy_on_random_shapes(isa, is_and):
    random = np.random.default_rng(7)
    for _ in range(150):
        n_rows, n_cols = random.choice(SIZES, 2)
        n_words = int(random.integers(1, 14))
        a = random_words(random, (n_rows, n_words))
        w = random_words(random, (n_cols, n_words))
        counts = _core.gemm_b1_counts(a, w, is_and, isa)
        assert counts.dtype == np.int32
        assert np.array_equal(counts, counted(a, w, is_and)), (n_rows, n_cols, n_words)


@pytest.mark.parametrize("n_words", [3, 4, 48, 128, 1023, 1024, 2100])
@pytest.mark.parametrize("isa", ISAS)
def test_no_accumulator_overflows_when_every_bit_counts(isa, n_words):
    ones = np.full((5, n_words), 2**64 - 1, np.uint64)
    counts = _core.gemm_b1_counts(ones, ones[:3], True, isa)
    assert np.array_equal(counts, np.full((5, 3), 64 * n_words))
    assert not _core.gemm_b1_counts(ones, ones[:3], False, isa).any()


@pytest.mark.parametrize("isa", ISAS)
def test_every_single_bit_is_counted_where_it_lies(isa):
    one_bit = np.uint64(1) << np.arange(64, dtype=np.uint64)[:, None]
    assert np.array_equal(_core.gemm_b1_counts(one_bit, one_bit, True, isa), np.eye(64))
    expected = 2 - 2 * np.eye(64)
    assert np.array_equal(_core.gemm_b1_counts(one_bit, one_bit, False, isa), expected)


@pytest.mark.parametrize(("n_rows", "n_cols", "n_words"), [(0, 3, 2), (3, 0, 2), (0, 0, 0)])
@pytest.mark.parametrize("isa", ISAS)
def test_empty_operands_give_empty_counts(isa, n_rows, n_cols, n_words):
    a = np.zeros((n_rows, n_words), np.uint64)
    w = np.zeros((n_cols, n_words), np.uint64)
    assert _core.gemm_b1_counts(a, w, False, isa).shape == (n_rows, n_cols)


@pytest.mark.parametrize("isa", ISAS)
def test_products_of_no_words_are_zero(isa):
    empty = np.zeros((3, 0), np.uint64)
    assert np.array_equal(_core.gemm_b1_counts(empty, empty, False, isa), np.zeros((3, 3)))


@pytest.mark.parametrize("isa", ISAS)
def test_hand_computed_product_of_ten_bits(isa):
    a = packed(np.array([[int(c) for c in "1011001011"]], bool))
    w = packed(np.array([[int(c) for c in "1101011001"]], bool))
    unequal = _core.gemm_b1_counts(a, w, False, isa)[0, 0]
    both = _core.gemm_b1_counts(a, w, True, isa)[0, 0]
    assert 10 - 2 * unequal == 2
    assert 2 * both - np.bitwise_count(a).sum() == 2


def test_a_word_more_in_one_operand_is_an_error_with_both_lengths():
    a, w = np.zeros((2, 3), np.uint64), np.zeros((2, 4), np.uint64)
    with pytest.raises(ValueError, match=r"3.*4"):
        _core.gemm_b1_counts(a, w, False, "scalar")


def test_an_unknown_instruction_set_is_an_error_that_lists_the_known():
    a = np.zeros((1, 1), np.uint64)
    with pytest.raises(ValueError, match=r"'mmx'.*scalar"):
        _core.gemm_b1_counts(a, a, False, "mmx")


def test_the_self_test_passes_for_every_kernel_that_runs_here():
    tested = {test["kernel"]: test["ok"] for test in _core.self_test()}
    runnable = {k["name"] for k in _core.kernels() if k["available"]}
    assert runnable == tested.keys()
    assert {name.split("_")[0] for name in runnable} == {
        "conv",
        "depthwise",
        "exp",
        "gemm",
        "log",
        "elementwise",
        "softmax",
    }
    assert all(tested.values())


def test_exactly_one_kernel_of_each_kind_is_chosen_and_it_runs_here():
    for op in (
        "gemm_b1",
        "gemm_f32",
        "gemm_i8",
        "elementwise",
        "depthwise_b1",
        "exp",
        "log_mel",
        "softmax_b1",
    ):
        chosen = [k for k in _core.kernels() if k["op"] == op and k["chosen"]]
        assert len(chosen) == 1
        assert chosen[0]["available"]
        assert chosen[0]["name"].startswith(op)


def in_a_new_process(code, isa):
    """EARBIT_ISA is read once, so every choice needs a process."""
    source = str(Path(earbit.__file__).parents[1])
    environment = os.environ | {"EARBIT_ISA": isa, "PYTHONPATH": source}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_forces_an_instruction_set(isa):
    code = (
        "from earbit import _core\n"
        "names = [k['name'] for k in _core.kernels() if k['chosen'] and k['op'] == 'gemm_b1']\n"
        "print(_core.isa(), *names)"
    )
    done = in_a_new_process(code, isa)
    assert done.returncode == 0, done.stderr
    named, kernel = done.stdout.split()
    assert named == isa
    assert kernel.endswith(isa)


def test_an_unknown_forced_instruction_set_is_a_value_error_that_lists_the_allowed():
    code = (
        "from earbit import _core\n"
        "try:\n    _core.isa()\n"
        "except ValueError as error:\n    print(error)"
    )
    done = in_a_new_process(code, "sse9")
    assert done.returncode == 0, done.stderr
    assert "sse9" in done.stdout
    assert "scalar" in done.stdout


def test_the_type_stub_names_exactly_what_the_module_has():
    stub = ast.parse((Path(earbit.__file__).parent / "_core.pyi").read_text())
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert public == functions | {"Program", "Stream", "UnfitRows"}
    for name in ("Program", "Stream"):
        body = classes[name].body
        methods = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        properties = {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
        expected = properties | methods - {"__init__"}
        assert {found for found in dir(getattr(_core, name)) if found[0] != "_"} == expected
