"""The AVX-512 and AVX-VNNI kernels, compiled against plain C++ stand-ins for their intrinsics.

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
N_COLS = 64
UNTOUCHED = -77
BITS = {
    "gemm_b1_6x64_avx512": {"rows": 6, "panel_words": 1, "arranges": False},
    "gemm_b1_8x64_avx512bw": {"rows": 8, "panel_words": 2, "arranges": True},
}
CODES = {"gemm_i8_6x64_avx512": 64, "gemm_i8_6x16_avxvnni": 16}
"""Outputs of a panel."""


def compiler():
    named = os.environ.get("CXX")
    return shutil.which(named) if named else shutil.which("c++") or shutil.which("g++")


def compiled(folder, sources, entry, **macros):
    cxx = compiler()
    if cxx is None:
        pytest.skip("no C++ compiler here (c++ or g++), so the kernel cannot be compiled")
    library = folder / "libkernel.so"
    includes = [f"-I{ROOT / 'tests/csrc/emulated'}", f"-I{ROOT / 'csrc'}"]
    sources = [*(ROOT / "csrc" / source for source in sources), ROOT / "tests/csrc" / entry]
    flags = ["-std=c++20", "-O0", "-shared", "-fPIC", "-ffp-contract=off", "-Wno-psabi"]
    defined = [f"-D{name}={value}" for name, value in macros.items()]
    command = [cxx, *flags, *defined, *includes, *sources, "-o", library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module", params=BITS)
def kernel(request, tmp_path_factory):
    name, traits = request.param, BITS[request.param]
    library = compiled(
        tmp_path_factory.mktemp("b1"),
        [f"kernels/{name}.cc"],
        "gemm_b1_entry.cc",
        KERNEL=name,
        ARRANGES=int(traits["arranges"]),
    )
    vars(library).update(traits)
    return library


def pointer(array, offset=0):
    return ctypes.c_void_p(array.ctypes.data + offset * array.itemsize)


def size(n):
    return ctypes.c_ssize_t(n)


def panel_of(kernel, w):
    # Garbage first: what the kernel does not fill must not matter, what it must fill it fills.
    panel = np.full(N_COLS * kernel.panel_words * max(1, w.shape[1]), 2**64 - 1, np.uint64)
    kernel.pack(pointer(w), size(w.shape[1]), len(w), w.shape[1], pointer(panel))
    return panel


def counts_of(kernel, a, a_stride, n_rows, panel, n_words, is_and, first_word=0):
    c = np.full((kernel.rows + 1, N_COLS + 3), UNTOUCHED, np.int32)
    kernel.count(
        pointer(a, first_word),
        size(a_stride),
        n_rows,
        pointer(panel, first_word * N_COLS * kernel.panel_words),
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
        n_rows, n_cols = random.integers(1, [kernel.rows + 1, N_COLS + 1]).tolist()
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
    frames = random_words(random, 60)
    w = random_words(random, N_COLS, 9)
    for stride in (1, 2, 3, 6):
        windows = np.stack([frames[i * stride : i * stride + 9] for i in range(kernel.rows)])
        counts = counts_of(kernel, frames, stride, kernel.rows, panel_of(kernel, w), 9, False)
        assert np.array_equal(counts, expected_counts(windows, w, False))


def test_a_part_of_the_words_of_a_panel_is_a_panel(kernel):
    random = np.random.default_rng(7)
    a, w = random_words(random, kernel.rows, 11), random_words(random, N_COLS, 11)
    panel = panel_of(kernel, w)
    for first, last in ((0, 1), (3, 7), (10, 11), (5, 5)):
        counts = counts_of(kernel, a, 11, kernel.rows, panel, last - first, True, first_word=first)
        assert np.array_equal(counts, expected_counts(a[:, first:last], w[:, first:last], True))


def test_no_accumulator_overflows_when_every_bit_counts(kernel):
    # Both sides of what fits bytes and 16 bits.
    for n_words in (3, 4, 510, 511, 512, 1022, 1023, 2100):
        ones = np.full((N_COLS, n_words), 2**64 - 1, np.uint64)
        panel = panel_of(kernel, ones)
        counts = counts_of(kernel, ones, n_words, kernel.rows, panel, n_words, True)
        assert (counts == 64 * n_words).all(), n_words


def test_counts_are_exact_on_both_sides_of_every_border_of_words(kernel):
    random = np.random.default_rng(10)
    for n_words in (1, 2, 3, 4, 5, 6, 7, 12, 509, 510, 511, 512, 513, 1024):
        n_rows = int(random.integers(1, kernel.rows + 1))
        a, w = random_words(random, n_rows, n_words), random_words(random, N_COLS, n_words)
        for is_and in (False, True):
            counts = counts_of(kernel, a, n_words, n_rows, panel_of(kernel, w), n_words, is_and)
            assert np.array_equal(counts, expected_counts(a, w, is_and)), n_words


def test_dots_become_bits_and_floats_without_counts_in_memory(kernel):
    random = np.random.default_rng(9)
    for n_cols in range(1, N_COLS + 1):
        for is_signed in (False, True):
            n_rows = int(random.integers(1, 3 * kernel.rows))
            n_words = int(random.integers(1, 9))
            a, w = random_words(random, n_rows, n_words), random_words(random, n_cols, n_words)
            offsets = random.integers(-500, 500, n_rows, dtype=np.int32)
            check_dots(kernel, random, a, w, offsets, is_signed)


@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_dots_are_exact_at_the_most_words_offsets_and_thresholds(kernel, is_signed):
    random = np.random.default_rng(11)
    most = 64 * 511
    for density in (0.0, 0.5, 1.0):
        a, w = (packed(random.random((n, most)) < density) for n in (kernel.rows + 1, N_COLS))
        w = np.where(np.arange(N_COLS)[:, None] % 3 == 0, ~w, w)
        offsets = np.resize(
            np.array([-most, -most + 1, -1, 0, 1, most - 1, most], np.int32), len(a)
        )
        check_dots(kernel, random, a, w, offsets, is_signed)


def check_dots(kernel, random, a, w, offsets, is_signed):
    """Bits and floats of all dots, at ties and beyond them, with rows arranged before or not."""
    (n_rows, n_words), n_cols = a.shape, len(w)
    counts = expected_counts(a, w, is_and=not is_signed)
    dots = offsets[:, None] - 2 * counts if is_signed else offsets[:, None] + 2 * counts
    # Ties, and both sides of them; exact in float32.
    threshold = (dots[random.integers(n_rows)] + random.integers(-1, 2, n_cols)).astype(np.int32)
    beyond = random.choice([-(2**30), 2**30, -98303, 98303, -65537, 65537], n_cols)
    threshold = np.where(random.random(n_cols) < 0.2, beyond, threshold).astype(np.int32)
    scale, bias = (random.integers(-9, 9, n_cols).astype(np.float32) / 8 for _ in range(2))
    panel = panel_of(kernel, w)
    for is_arranged in range(1 + kernel.arranges):
        product = (pointer(a), size(n_words), n_rows, pointer(panel), n_words, n_cols)
        product = (*product, int(is_signed), pointer(offsets), is_arranged)
        bits = np.full((n_rows, 3), 7, np.uint64)
        kernel.bits(*product, pointer(threshold), pointer(bits), size(3))
        assert np.array_equal(bits[:, :1], packed(dots >= threshold))
        assert (bits[:, 1:] == 7).all()
        y = np.full((n_rows, n_cols + 2), UNTOUCHED, np.float32)
        kernel.floats(*product, pointer(scale), pointer(bias), pointer(y), size(n_cols + 2))
        assert np.array_equal(y[:, :n_cols], scale * dots.astype(np.float32) + bias)
        assert (y[:, n_cols:] == UNTOUCHED).all()


@pytest.fixture(scope="module")
def depthwise(tmp_path_factory):
    kernels = ["kernels/depthwise_b1_8_avx512.cc"]
    library = compiled(tmp_path_factory.mktemp("depthwise"), kernels, "depthwise_b1_entry.cc")
    return library.depthwise


@pytest.mark.parametrize("n_taps", [1, 31, 63, 64, 65, 130])
@pytest.mark.parametrize("is_unsigned", [False, True], ids=["signed", "unsigned"])
def test_depthwise_products_equal_numpy_from_every_bit_on(depthwise, n_taps, is_unsigned):
    random, n_channels, n_words = np.random.default_rng(6), 16, -(-n_taps // 64)
    bits = random.random((n_channels, (n_words + 1) * 64)) < 0.5
    taps = random.random((n_channels, n_taps)) < 0.5
    # Word by word, channels side by side.
    x, w = (np.ascontiguousarray(packed(b).T) for b in (bits, taps))
    for shift in range(64):
        dot = np.full(n_channels, UNTOUCHED, np.int32)
        depthwise(pointer(x), pointer(w), n_channels, n_taps, shift, int(is_unsigned), pointer(dot))
        seen = values(bits[:, shift : shift + n_taps], is_unsigned)
        assert np.array_equal(dot, (seen * values(taps, False)).sum(-1)), shift


@pytest.fixture(scope="module", params=CODES)
def codes(request, tmp_path_factory):
    name = request.param
    folder = tmp_path_factory.mktemp("i8")
    library = compiled(folder, [f"kernels/{name}.cc"], "gemm_i8_entry.cc", KERNEL=name)
    library.cols = CODES[name]
    return library


def check_sums(codes, a, w, n_k):
    """Sums of the first n_k codes of the rows of a."""
    n_rows, n_cols = len(a), len(w)
    panel = np.full(codes.cols * (n_k + 3) // 4 * 4 + 1, 99, np.uint8)
    codes.pack_i8(pointer(w), size(n_k), n_cols, n_k, pointer(panel))
    c = np.full((n_rows + 1, codes.cols + 3), UNTOUCHED, np.int32)
    arguments = (size(a.shape[1]), n_rows, pointer(panel), n_k, pointer(c), size(c.shape[1]))
    codes.multiply_i8(pointer(a), *arguments)
    assert (c[n_rows:] == UNTOUCHED).all(), "rows beyond n_rows"
    assert (c[:, codes.cols :] == UNTOUCHED).all(), "columns beyond the panel"
    assert np.array_equal(c[:n_rows, :n_cols], a[:, :n_k].astype(int) @ w.T.astype(int))
    assert not c[:n_rows, n_cols : codes.cols].any(), "outputs that the panel does not have"


def test_sums_of_codes_equal_numpy_on_random_shapes(codes):
    random = np.random.default_rng(8)
    for _ in range(200):
        n_rows, n_cols = random.integers(1, [7, codes.cols + 1]).tolist()
        n_k = int(random.integers(0, 40))
        # Rows exactly as long as they are read: what lies behind them is not zero.
        a = random.integers(0, 256, (n_rows, n_k + 3), dtype=np.uint8)
        check_sums(codes, a, random.integers(-128, 128, (n_cols, n_k), dtype=np.int8), n_k)


@pytest.mark.parametrize("weight", [-128, 127])
def test_sums_of_the_largest_codes_are_exact(codes, weight):
    for n_k in (1, 2, 3, 4, 9, 65_793):
        a = np.full((6, n_k), 255, np.uint8)
        check_sums(codes, a, np.full((codes.cols, n_k), weight, np.int8), n_k)


def test_softmax_lanes_exp_and_log_mel_pass_the_self_test(tmp_path):
    sets = {"softmax_b1": "avx512", "elementwise": "avx512bw", "exp": "avx512bw"}
    sets["log_mel"] = "avx512bw"
    names = [f"{family}_{isa}" for family in sets for isa in ("scalar", sets[family])]
    sources = [f"kernels/{name}.cc" for name in names]
    sources += ["kernels/softmax_b1.cc", "kernels/log_mel.cc"]
    sources += [*(f"self_test/self_test_{family}.cc" for family in sets)]
    tested = compiled(tmp_path, sources, "avx512_self_test_entry.cc").self_tested
    tested.restype = ctypes.c_char_p
    said = tested().decode().splitlines()
    assert [line.partition(",")[0] for line in said] == [f"{name} ok" for name in names], said
