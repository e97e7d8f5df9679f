"""The rows of a stream are those of the whole clip, bit by bit, for any pieces of the audio."""

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_parts import PLAIN, floats, front_end, packed, words
from random_chains import RandomProgram
from test_chains import assert_equals

from earbit import _core
from earbit.config import override
from earbit.export.lower import lower_model
from earbit.export.program import Program, write_program
from earbit.load import random_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.runtime import Session

SMALL = [
    "encoder.n_layers=2",
    "encoder.d_model=32",
    "encoder.d_ffn=40",
    "encoder.position_kernel=9",
]
WINDOW = ["encoder.window.left=6", "encoder.window.right=[0,3]"]
LAYERS = ['front_end={"type":"frontend","n_channels":16,"norm":"layer"}']
FILES = {
    "fp32": ("fp32", []),
    "w8a8": ("w8a8", []),
    "w1a1": ("w1a1", []),
    "w1a2": ("w1a2", []),
    "right=0": ("w1a1", ["encoder.window.right=0"]),
    "centred position": ("w8a8", ["encoder.position.causal=false"]),
    "convolutions": ("w1a1", LAYERS),
    "convolutions in float": ("fp32", LAYERS),
    "long window": ("fp32", ["encoder.window.left=250"]),
}


@pytest.fixture(scope="module")
def session_of(tmp_path_factory):
    folder, sessions = tmp_path_factory.mktemp("programs"), {}

    def session(name):
        if name not in sessions:
            plan, settings = FILES[name]
            config = override(preset("sparseformer-stream-tiny"), [*SMALL, *WINDOW, *settings])
            model = random_model(config, 0).eval()
            if plan != "fp32":
                model = quantized_copy(model, plan, noise_clips(0)).eval()
            path = folder / f"{len(sessions)}.safetensors"
            write_program(lower_model(model), path, {})
            sessions[name] = Session(path)
        return sessions[name]

    return session


def streamed(program, audio, values, pieces, n_threads=1, n_taken=1):
    """Rows of values; pieces: lengths of the pieces, the last for all that follow."""
    stream = _core.Stream(program, values, n_threads)
    found, start, i = [[] for _ in values], 0, 0
    while start < len(audio):
        n = pieces[min(i, len(pieces) - 1)]
        stream.accept(audio[start : start + n])
        start, i = start + n, i + 1
        if i % n_taken == 0:
            for rows, new in zip(found, stream.take(), strict=True):
                rows.append(new)
    stream.finish()
    for rows, new in zip(found, stream.take(), strict=True):
        rows.append(new)
    return [np.concatenate(rows, axis=rows[-1].ndim - 2) for rows in found]


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None)
@given(
    n_samples=st.integers(400, 30_000),
    pieces=st.lists(
        st.one_of(st.integers(1, 400), st.integers(401, 30_000)), min_size=1, max_size=12
    ),
    n_taken=st.integers(1, 3),
)
def test_hidden_states_are_those_of_the_clip_for_any_pieces(
    session_of, name, n_samples, pieces, n_taken
):
    pieces = [*pieces, max(200, pieces[-1])]
    session = session_of(name)
    audio = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    values = [*session.outputs, *session.bits.values()]
    found = streamed(session._program, audio, values, pieces, n_taken=n_taken)
    assert_equal(found, session.values(audio, values))


@pytest.mark.parametrize("name", ["fp32", "w1a1"])
def test_samples_one_by_one_give_the_same_rows(session_of, name):
    session = session_of(name)
    audio = np.random.default_rng(0).standard_normal(4_000).astype(np.float32)
    found = streamed(session._program, audio, list(session.outputs), [1])
    assert_equal(found, session.run(audio, layers="all"))


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_stream_the_values_of_numpy(seed):
    made = RandomProgram(seed)
    values = [*made.values, *made.code_values]
    pieces = made.random.integers(1, 1500, 20).tolist()
    for some in (values, sorted(made.random.choice(values, 2, replace=False).tolist())):
        found = streamed(
            made.program, made.x.ravel(), some, pieces, int(made.random.integers(1, 4))
        )
        for value, rows in zip(some, found, strict=True):
            assert_equals(made, value, rows, (seed, value))


def rates(program):
    """Strides, padding on both sides, repeated rows, groups of columns, an LSTM, depthwise taps."""
    first = front_end(program, 12)
    ints = {**PLAIN, "kernel": 5, "stride": 2, "pad_left": 3, "pad_right": 1, "groups": 3}
    half = program.add("conv_f32", [first], ints=ints, tensors={"weight": floats(5, 12, 5 * 4)})
    back = program.add("repeat", [half, first], ints={"times": 2})
    joined = program.add("add", [back, first])
    taps = {"kernel": 7, "stride": 1, "pad_left": 2, "pad_right": 4}
    deep = program.add("depthwise_f32", [joined], ints=taps, tensors={"weight": floats(6, 12, 7)})
    recurrent = {"weight": floats(7, 12, 3)}
    memory = program.add("lstm", [deep], ints={"reverse": 0}, tensors=recurrent)
    bits = packed(program, deep, 12, groups=3)
    ints = {**PLAIN, "kernel": 3, "pad_left": 1, "pad_right": 1, "groups": 3}
    tensors = {"weight": words(8, 6, 3, 4), "scale": floats(9, 6), "bias": floats(10, 6)}
    product = program.add(
        "conv_b1", [bits], ints={**ints, "unsigned": 0, "out_groups": 1}, tensors=tensors
    )
    return [first, half, deep, memory, bits, product]


def core_of(build):
    program, core = Program(), _core.Program()
    values = build(program)
    for op in program.ops:
        tensors = {role: program.tensors[name] for role, name in op["tensors"].items()}
        core.add(op["op"], op["inputs"], op["ints"], op["floats"], tensors)
    return core, values


@given(n_samples=st.integers(30, 3_000), piece=st.integers(1, 700), n_threads=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_ops_of_all_needs_give_the_rows_of_the_clip(n_samples, piece, n_threads):
    core, values = core_of(rates)
    audio = floats(n_samples, n_samples)
    found = streamed(core, audio, values, [piece], n_threads)
    assert_equal(found, core.run(audio, values, 1))


def test_audio_too_short_for_a_row_ends_without_one(session_of):
    session = session_of("fp32")
    for n_samples in (0, 1, 399):
        (rows,) = streamed(session._program, floats(0, n_samples), [session.outputs[-1]], [100])
        assert rows.shape == (0, 32)


@pytest.mark.parametrize("name", ["fp32", "right=0", "convolutions"])
def test_a_row_comes_with_the_sample_that_its_latency_says(session_of, name):
    session = session_of(name)
    n_latency = _core.latency(session._program, list(session.outputs))
    assert n_latency == {"fp32": 480 + 3 * 320, "right=0": 480, "convolutions": 400 + 3 * 320}[name]
    stream = _core.Stream(session._program, [session.outputs[-1]], 1)
    audio, n_rows = floats(1, 4_000), 0
    for i in range(1, 4_001):
        stream.accept(audio[i - 1 : i])
        n_rows += len(stream.take()[0])
        assert n_rows == max(0, (i - n_latency) // 320 + 1)


def test_memory_does_not_grow_with_the_audio(session_of):
    session = session_of("fp32")
    stream = _core.Stream(session._program, [session.outputs[-1]], 1)
    n_bytes = []
    for seconds in range(120):
        stream.accept(floats(seconds, 16_000))
        stream.take()
        n_bytes.append(stream.n_bytes)
    assert max(n_bytes[5:]) <= max(n_bytes[:5]) < 500_000
    assert n_bytes[-1] > 0


def test_rows_that_nobody_takes_are_kept_and_then_forgotten(session_of):
    session = session_of("fp32")
    stream = _core.Stream(session._program, [session.outputs[-1]], 1)
    for seconds in range(30):
        stream.accept(floats(seconds, 16_000))
    large = stream.n_bytes
    assert len(stream.take()[0]) > 1400
    for seconds in range(5):
        stream.accept(floats(seconds, 16_000))
        stream.take()
    assert stream.n_bytes < large / 2


def test_what_cannot_stream_is_refused_with_the_op():
    def build(program):
        first = front_end(program, 12)
        return [first, program.add("mean_frames", [program.add("relu", [first])])]

    core, (first, mean) = core_of(build)
    assert _core.whole_clip_op(core, [first]) is None
    assert _core.whole_clip_op(core, [mean]) == (2, "mean_frames")
    assert _core.streamed_on_the_way(core, mean) == [mean - 1]
    with pytest.raises(ValueError, match="op 2, mean_frames, needs the whole clip"):
        _core.Stream(core, [mean], 1)
    rows = core.run(floats(3, 500), [mean - 1, mean], 1)
    assert np.array_equal(_core.run_from(core, [mean - 1], rows[:1], [mean], 1)[0], rows[1])


def test_inputs_that_do_not_fit_each_other_end_a_stream_as_they_end_a_run():
    def build(program):
        frames = front_end(program, 12)
        ints = {**PLAIN, "kernel": 40, "stride": 1}
        long = program.add("conv_f32", [frames], ints=ints, tensors={"weight": floats(1, 12, 480)})
        same = {**PLAIN, "kernel": 1, "stride": 1}
        short = program.add("conv_f32", [frames], ints=same, tensors={"weight": floats(2, 12, 12)})
        return [program.add("add", [short, long])]

    core, values = core_of(build)
    audio = floats(3, 60_000)
    with pytest.raises(_core.UnfitRows, match="add of"):
        core.run(audio, values, 1)
    stream = _core.Stream(core, values, 1)
    stream.accept(audio)
    with pytest.raises(_core.UnfitRows, match="add of"):
        stream.finish()


def test_a_signal_handler_may_look_at_the_stream_that_it_interrupts(session_of):
    session = session_of("fp32")
    stream = _core.Stream(session._program, [session.outputs[-1]], 1)
    audio, seen, refused = floats(0, 16_000 * 1_500), [], []

    def look(*_):
        seen.append((stream.n_samples > 0, stream.is_finished, stream.n_bytes > 0))
        for call in (stream.finish, stream.reset, stream.take, lambda: stream.accept(audio[:1])):
            with pytest.raises(ValueError, match="in the middle of a call"):
                call()
            refused.append(call)

    previous = signal.signal(signal.SIGUSR1, look)
    try:
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        stream.accept(audio)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [(True, False, True)]
    assert len(refused) == 4
    stream.finish()
    assert np.array_equal(stream.take()[0], session.run(audio))


def test_a_long_window_gives_the_same_rows_on_any_number_of_threads(session_of):
    session = session_of("long window")
    audio = floats(5, 16_000 * 12)
    values = list(session.outputs)
    assert_equal(session._program.run(audio, values, 3), session._program.run(audio, values, 1))
