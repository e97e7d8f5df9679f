"""The AVX-512 kernels, compiled against plain C++ stand-ins for its intrinsics.

So their logic is tested on every machine, whatever its CPU; the instructions themselves are tested
by `_core.self_test()` where they exist.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from packed_reference import packed, values

ROOT = Path(__file__).parents[2]
N_ROWS, N_COLS = 6, 64
UNTOUCHED = -77


def compiler():
    named = os.environ.get("CXX")
    return shutil.which(named) if named else shutil.which("c++") or shutil.which("g++")


def compiled(cxx, folder, sources, entry):
    library = folder / "libkernel.so"
    includes = [f"-I{ROOT / 'tests/csrc/emulated'}", f"-I{ROOT / 'csrc'}"]
    sources = [*(ROOT / "csrc" / source for source in sources), ROOT / "tests/csrc" / entry]
    flags = ["-std=c++20", "-O0", "-shared", "-fPIC", "-ffp-contract=off", "-Wno-psabi"]
    command = [cxx, *flags, *includes, *sources, "-o", library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    cxx = compiler()
    if cxx is None:
        pytest.skip("no C++ compiler here (c++ or g++), so the kernel cannot be compiled")
    folder = tmp_path_factory.mktemp("avx512")
    kernels = ["kernels/gemm_b1_6x64_avx512.cc", "kernels/depthwise_b1_8_avx512.cc"]
    return compiled(cxx, folder, kernels, "avx512_entry.cc")


def pointer(array, offset=0):
    return ctypes.c_void_p(array.ctypes.data + offset * array.itemsize)


def size(n):
    return ctypes.c_ssize_t(n)


def panel_of(kernel, w):
    # Garbage first: what the kernel does not fill must not matter, what it must fill it fills.
    panel = np.full(N_COLS * max(1, w.shape[1]), 2**64 - 1, np.uint64)
    kernel.pack(pointer(w), size(w.shape[1]), len(w), w.shape[1], pointer(panel))
    return panel


def counts_of(kernel, a, a_stride, n_rows, panel, n_words, is_and, first_word=0):
    c = np.full((N_ROWS + 1, N_COLS + 3), UNTOUCHED, np.int32)
    kernel.count(
        pointer(a, first_word),
        size(a_stride),
        n_rows,
        pointer(panel, first_word * N_COLS),
        n_words,
        int(is_and),
        pointer(c),
        size(c.shape[1]),
    )
    assert (c[n_rows:] == UNTOUCHED).all(), "rows beyond n_rows"
    assert (c[:, N_COLS:] == UNTOUCHED).all(), "columns beyond the panel"
    return c[:n_rows, :N_COLS]


def expected_counts(a, w, is_and):
    pairs = a[:, None] & w[None] if is_and else a[:, None] ^ w[None]
    return np.bitwise_count(pairs).sum(-1, dtype=np.int64)


def random_words(random, *shape):
    return random.integers(0, 2**64, shape, dtype=np.uint64)


@pytest.mark.parametrize("is_and", [False, True], ids=["xor", "and"])
def test_counts_equal_numpy_on_random_shapes(kernel, is_and):
    random = np.random.default_rng(5)
    for _ in range(200):
        n_rows, n_cols = random.integers(1, [N_ROWS + 1, N_COLS + 1]).tolist()
        n_words = int(random.integers(1, 20))
        a, w = random_words(random, n_rows, n_words), random_words(random, n_cols, n_words)
        counts = counts_of(kernel, a, n_words, n_rows, panel_of(kernel, w), n_words, is_and)
        assert np.array_equal(counts[:, :n_cols], expected_counts(a, w, is_and))
        # Outputs that the panel does not have are weights of zero.
        ones = np.bitwise_count(a).sum(-1, dtype=np.int64)
        missing = counts[:, n_cols:]
        assert np.array_equal(
            missing, np.tile(0 * ones[:, None] if is_and else ones[:, None], missing.shape[1])
        )


def test_rows_may_overlap_as_windows_of_a_convolution_do(kernel):
    random = np.random.default_rng(6)
    frames = random_words(random, 40)
    w = random_words(random, N_COLS, 9)
    for stride in (1, 2, 3, 6):
        windows = np.stack([frames[i * stride : i * stride + 9] for i in range(N_ROWS)])
        counts = counts_of(kernel, frames, stride, N_ROWS, panel_of(kernel, w), 9, False)
        assert np.array_equal(counts, expected_counts(windows, w, False))


def test_a_part_of_the_words_of_a_panel_is_a_panel(kernel):
    random = np.random.default_rng(7)
    a, w = random_words(random, N_ROWS, 11), random_words(random, N_COLS, 11)
    panel = panel_of(kernel, w)
    for first, last in ((0, 1), (3, 7), (10, 11), (5, 5)):
        counts = counts_of(kernel, a, 11, N_ROWS, panel, last - first, True, first_word=first)
        assert np.array_equal(counts, expected_counts(a[:, first:last], w[:, first:last], True))


def test_no_accumulator_overflows_when_every_bit_counts(kernel):
    n_words = 2100
    ones = np.full((N_COLS, n_words), 2**64 - 1, np.uint64)
    counts = counts_of(kernel, ones, n_words, N_ROWS, panel_of(kernel, ones), n_words, True)
    assert (counts == 64 * n_words).all()


@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_dots_become_bits_and_floats_without_counts_in_memory(kernel, is_signed):
    random = np.random.default_rng(9)
    for _ in range(100):
        n_rows, n_cols = random.integers(1, [3 * N_ROWS, N_COLS + 1]).tolist()
        n_words = int(random.integers(1, 9))
        a, w = random_words(random, n_rows, n_words), random_words(random, n_cols, n_words)
        offsets = random.integers(-500, 500, n_rows, dtype=np.int32)
        counts = expected_counts(a, w, is_and=not is_signed)
        dots = offsets[:, None] - 2 * counts if is_signed else offsets[:, None] + 2 * counts
        # Ties, and both sides of them; exact in float32.
        threshold = (dots[0] + random.integers(-1, 2, n_cols)).astype(np.int32)
        scale, bias = (random.integers(-9, 9, n_cols).astype(np.float32) / 8 for _ in range(2))
        panel = panel_of(kernel, w)
        product = (pointer(a), size(n_words), n_rows, pointer(panel), n_words, n_cols)
        product = (*product, int(is_signed), pointer(offsets))
        bits = np.full((n_rows, 3), 7, np.uint64)
        kernel.bits(*product, pointer(threshold), pointer(bits), size(3))
        assert np.array_equal(bits[:, :1], packed(dots >= threshold))
        assert (bits[:, 1:] == 7).all()
        y = np.full((n_rows, n_cols + 2), UNTOUCHED, np.float32)
        kernel.floats(*product, pointer(scale), pointer(bias), pointer(y), size(n_cols + 2))
        assert np.array_equal(y[:, :n_cols], scale * dots.astype(np.float32) + bias)
        assert (y[:, n_cols:] == UNTOUCHED).all()


@pytest.mark.parametrize("n_taps", [1, 31, 63, 64, 65, 130])
@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
def test_depthwise_products_equal_numpy_from_every_bit_on(kernel, n_taps, is_unsigned):
    random, n_channels, n_words = np.random.default_rng(6), 16, -(-n_taps // 64)
    bits = random.random((n_channels, (n_words + 1) * 64)) < 0.5
    taps = random.random((n_channels, n_taps)) < 0.5
    # Word by word, channels side by side.
    x, w = (np.ascontiguousarray(packed(b).T) for b in (bits, taps))
    for shift in range(64):
        dot = np.full(n_channels, UNTOUCHED, np.int32)
        kernel.depthwise(
            pointer(x), pointer(w), n_channels, n_taps, shift, int(is_unsigned), pointer(dot)
        )
        seen = values(bits[:, shift : shift + n_taps], is_unsigned)
        assert np.array_equal(dot, (seen * values(taps, False)).sum(-1)), shift


@pytest.fixture(scope="module")
def vnni(tmp_path_factory):
    cxx = compiler()
    if cxx is None:
        pytest.skip("no C++ compiler here (c++ or g++), so the kernel cannot be compiled")
    folder = tmp_path_factory.mktemp("vnni")
    return compiled(cxx, folder, ["kernels/gemm_i8_6x64_avx512.cc"], "avx512_vnni_entry.cc")


def test_vnni_sums_equal_numpy_on_random_shapes(vnni):
    random = np.random.default_rng(8)
    for _ in range(200):
        n_rows, n_cols = random.integers(1, [N_ROWS + 1, N_COLS + 1]).tolist()
        n_k = int(random.integers(0, 40))
        # Rows exactly as long as they are read: what lies behind them is not zero.
        a = random.integers(0, 256, (n_rows, n_k + 3), dtype=np.uint8)
        w = random.integers(-128, 128, (n_cols, n_k), dtype=np.int8)
        panel = np.full(N_COLS * (n_k + 3) // 4 * 4 + 1, 99, np.uint8)
        vnni.pack_i8(pointer(w), size(n_k), n_cols, n_k, pointer(panel))
        c = np.full((N_ROWS + 1, N_COLS + 3), UNTOUCHED, np.int32)
        arguments = (size(a.shape[1]), n_rows, pointer(panel), n_k, pointer(c), size(c.shape[1]))
        vnni.multiply_i8(pointer(a), *arguments)
        assert (c[n_rows:] == UNTOUCHED).all(), "rows beyond n_rows"
        assert (c[:, N_COLS:] == UNTOUCHED).all(), "columns beyond the panel"
        assert np.array_equal(c[:n_rows, :n_cols], a[:, :n_k].astype(int) @ w.T.astype(int))
        assert not c[:n_rows, n_cols:N_COLS].any(), "outputs that the panel does not have"


def test_softmax_lanes_exp_and_log_mel_pass_the_self_test(tmp_path):
    cxx = compiler()
    if cxx is None:
        pytest.skip("no C++ compiler here (c++ or g++), so the kernels cannot be compiled")
    families = ("softmax_b1", "elementwise", "exp", "log_mel")
    sources = [f"kernels/{family}_{isa}.cc" for family in families for isa in ("scalar", "avx512")]
    sources += ["kernels/softmax_b1.cc", "kernels/log_mel.cc"]
    sources += [*(f"self_test/self_test_{name}.cc" for name in families)]
    tested = compiled(cxx, tmp_path, sources, "avx512_self_test_entry.cc").self_tested
    tested.restype = ctypes.c_char_p
    said = tested().decode().splitlines()
    expected = [f"{family}_{isa} ok" for family in families for isa in ("scalar", "avx512")]
    assert [line.partition(",")[0] for line in said] == expected, said
