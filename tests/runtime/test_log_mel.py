"""Log mel energies, judged by numpy's transform in double precision."""

import numpy as np
import pytest

from earbit import _core

RATE_HZ = 16_000
SPEECH = {"window": 400, "hop": 160, "pad": 80, "stack": 2, "fft": 512}
FLOOR = 1e-6
CASES = [
    # samples, mels, attributes
    (400, 80, SPEECH),
    (16_001, 80, SPEECH),
    (9000, 13, {"window": 25, "hop": 10, "pad": 24, "stack": 1, "fft": 32}),
    (3000, 5, {"window": 16, "hop": 37, "pad": 0, "stack": 3, "fft": 16}),
    (1, 3, {"window": 1, "hop": 1, "pad": 0, "stack": 1, "fft": 64}),
    (30_000, 40, {"window": 1001, "hop": 500, "pad": 77, "stack": 5, "fft": 1024}),
    (20_000, 64, {"window": 4096, "hop": 999, "pad": 4095, "stack": 2, "fft": 4096}),
]


def triangles(n_mels, fft):
    """First bins and weights of triangles on the mel scale, with a bin each at least."""
    bins_hz = np.arange(fft // 2 + 1) * RATE_HZ / fft
    edges = np.linspace(0, np.log1p(8000 / 700), n_mels + 2)
    mel, edges = np.log1p(bins_hz / 700), edges[:, None]
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[np.arange(n_mels), abs(mel - edges[1:-1]).argmin(1)] += 0.1
    used = weights > 0
    last = used.shape[1] - used[:, ::-1].argmax(1)
    width = (last - used.argmax(1)).max()
    first = np.minimum(used.argmax(1), used.shape[1] - width)
    columns = first[:, None] + np.arange(width)
    return first.astype(np.int32), np.take_along_axis(weights, columns, 1).astype(np.float32)


def tensors_of(n_mels, ints):
    first, weight = triangles(n_mels, ints["fft"])
    taper = 0.01 + np.hanning(ints["window"])
    return {"taper": taper.astype(np.float32), "first": first, "weight": weight}


def run(wave, ints, tensors, floor=FLOOR, threads=1):
    program = _core.Program()
    value = program.add("log_mel", [0], ints, {"floor": floor}, tensors)
    return program.run(wave.astype(np.float32), [value], threads)[0]


def by_numpy(wave, ints, tensors, floor=FLOOR):
    window, hop, pad, stack = (ints[name] for name in ("window", "hop", "pad", "stack"))
    padded = np.pad(wave.astype(np.float32).astype(np.float64), (pad, pad))
    n_rows = (len(padded) - window - (stack - 1) * hop) // (stack * hop) + 1
    starts = hop * np.arange(n_rows * stack)
    frames = padded[starts[:, None] + np.arange(window)] * tensors["taper"]
    powers = np.abs(np.fft.rfft(frames, ints["fft"])) ** 2
    columns = tensors["first"][:, None] + np.arange(tensors["weight"].shape[1])
    energies = (powers[:, columns] * tensors["weight"]).sum(-1)
    return np.log(energies + np.float64(np.float32(floor))).reshape(n_rows, -1)


def noise(n_samples, seed=0):
    """Noise whose power falls with frequency and whose level rises and falls, as of speech."""
    random = np.random.default_rng(seed)
    white = random.standard_normal(n_samples)
    level = 0.1 * np.abs(np.sin(np.arange(n_samples) / 2500)) + 1e-3
    return level * np.convolve(white, 0.8 ** np.arange(20), "same")


def sine(hz, n_samples=16_000):
    return np.sin(2 * np.pi * hz / RATE_HZ * np.arange(n_samples))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]['fft']}")
def test_logarithms_of_noise_are_those_of_numpy(case):
    n_samples, n_mels, ints = case
    wave, tensors = noise(n_samples), tensors_of(n_mels, ints)
    y = run(wave, ints, tensors)
    expected = by_numpy(wave, ints, tensors)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= 5e-5


def test_silence_is_the_logarithm_of_the_floor():
    for floor in (1.5e-38, 1e-10, 1e-6, 1.0, 3e38):
        y = run(np.zeros(4000), SPEECH, tensors_of(80, SPEECH), floor)
        assert np.abs(y - np.log(np.float64(np.float32(floor)))).max() <= 4e-6
        assert len(np.unique(y)) == 1


@pytest.mark.parametrize("hz", [100.0, 440.3, 1000.0, 3999.0, 7777.7])
def test_the_rounding_of_a_full_scale_sine_stays_below_the_floor(hz):
    wave, tensors = sine(hz), tensors_of(80, SPEECH)
    y = run(wave, SPEECH, tensors)
    # Bins far from the sine are 1e-10 of it, as small as the rounding of float32.
    assert np.abs(y - by_numpy(wave, SPEECH, tensors)).max() <= 5e-3


def test_a_row_has_the_samples_of_a_frame_of_hubert():
    tensors = tensors_of(80, SPEECH)
    for n_samples in (400, 719, 720, 16_000):
        assert len(run(noise(n_samples), SPEECH, tensors)) == (n_samples - 400) // 320 + 1
    with pytest.raises(ValueError, match="399 frames are too few for a window of 560"):
        run(noise(399), SPEECH, tensors)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_change_no_bit(n_threads):
    wave, tensors = noise(50_000), tensors_of(80, SPEECH)
    assert np.array_equal(run(wave, SPEECH, tensors, threads=n_threads), run(wave, SPEECH, tensors))


def test_samples_beyond_the_range_of_their_power_are_infinite_or_not_a_number():
    wave = noise(1000)
    wave[200] = 1e30
    y = run(wave, SPEECH, tensors_of(80, SPEECH))
    assert not np.isfinite(y[0]).any()
    assert np.isfinite(y[-1]).all()


GOOD = {"window": 40, "hop": 10, "pad": 0, "stack": 2, "fft": 64}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fft": 32}, "fft=32; allowed are powers of two from the window of 40 samples on"),
        ({"fft": 96}, "fft=96; allowed are powers of two"),
        ({"fft": 8192}, "fft=8192; allowed are 16 to 4096"),
        ({"window": 0}, "window=0; allowed are 1 to 4096"),
        ({"window": 41}, r"tensor 'taper' is float32 \(40\), expected float32 \(41\)"),
        ({"hop": 0}, "hop=0"),
        ({"pad": 40}, "pad=40; allowed are 0 to 39"),
        ({"stack": 0}, "stack=0"),
        ({"stack": 200_000}, "stack=200000; allowed are 1 to 174762"),
        ({"floor": 0.0}, "floor must be at least 1.2e-38"),
        ({"floor": 1e-39}, "floor must be at least 1.2e-38"),
        ({"taper": np.full(40, np.inf, np.float32)}, "taper is not finite"),
        ({"weight": np.full((6, 5), -1, np.float32)}, "a weight is not a finite number of at"),
        ({"weight": np.full((6, 5), np.nan, np.float32)}, "a weight is not a finite number of at"),
        ({"weight": np.ones(6, np.float32)}, "weight is no matrix"),
        ({"weight": np.ones((6, 34), np.float32)}, "34 weights; there are 33 bins"),
        ({"first": np.full(6, 29, np.int32)}, "a first bin of 29 for 5 weights; there are 33"),
        ({"first": np.full(6, -1, np.int32)}, "a first bin of -1"),
        ({"first": np.zeros(5, np.int32)}, "tensor 'first'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed, message):
    floats = {"floor": FLOOR}
    tensors = {
        "taper": np.ones(40, np.float32),
        "first": np.full(6, 28, np.int32),
        "weight": np.ones((6, 5), np.float32),
    }
    given = [
        part | {name: changed[name] for name in changed if name in part}
        for part in (GOOD, floats, tensors)
    ]
    with pytest.raises(ValueError, match=message):
        _core.Program().add("log_mel", [0], *given)


def test_an_input_that_is_no_waveform_is_refused():
    program = _core.Program()
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    two = program.add("conv_f32", [0], ints, {}, {"weight": np.ones((2, 1), np.float32)})
    with pytest.raises(ValueError, match="an input of 2 columns; samples have one"):
        program.add("log_mel", [two], SPEECH, {"floor": FLOOR}, tensors_of(80, SPEECH))
