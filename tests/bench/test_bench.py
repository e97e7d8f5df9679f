"""What bench reports, and that everything that can go wrong is one clear line."""

import json
import math
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from earbit.bench.child import _environment, started
from earbit.bench.peers.catalogue import PEERS, Peer
from earbit.bench.side_by_side import bench
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.export.program import METADATA_KEY


def header_of(path):
    data = path.read_bytes()
    n_bytes = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + n_bytes])["__metadata__"][METADATA_KEY])


def with_origin(program, origin, path):
    """A copy of the program that says something else of where it comes from."""
    header = {**header_of(program), "origin": origin}
    save_file(load_file(program), path, {METADATA_KEY: json.dumps(header)})
    return path


def bench_short(program, *engines):
    return bench({"w1a1": program}, seconds=0.5, threads=1, engines=engines, n_runs=3)


def test_every_engine_has_a_record_in_the_order_that_was_asked_for(program):
    records = bench_short(program, "torch", "torch")
    assert [(r["engine"], r["plan"], r["precision"]) for r in records] == [
        ("earbit", "w1a1", "+".join(header_of(program)["origin"]["precisions"])),
        ("torch", None, "fp32"),
    ]
    for record in records:
        assert 0 < record["p10_ms"] <= record["median_ms"] <= record["p90_ms"]
        assert record["rtf"] == pytest.approx(record["median_ms"] / 500)
        assert record["n_runs"] == 3
        assert record["peak_rss_bytes"] > 2**20
    assert records[0]["peak_rss_bytes"] < records[1]["peak_rss_bytes"]


def test_a_program_is_measured_alone_where_no_other_engine_is_named(program):
    assert [record["engine"] for record in bench_short(program)] == ["earbit"]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0.0, 0.024, 14_401.0])
def test_a_length_that_cannot_be_is_an_error(program, seconds):
    with pytest.raises(ConfigError, match=r"seconds=.*; allowed: 0\.025"):
        bench({"": program}, seconds=seconds, threads=1, engines=("torch",))


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_a_number_of_threads_that_cannot_be_is_an_error(program, threads):
    with pytest.raises(ConfigError, match=f"threads={threads}"):
        bench({"": program}, seconds=1.0, threads=threads, engines=())


@pytest.mark.parametrize("n_runs", [0, -1, 10_001])
def test_a_number_of_runs_that_cannot_be_is_an_error(program, n_runs):
    with pytest.raises(ConfigError, match=f"runs={n_runs}; allowed: 1 to 10000"):
        bench({"": program}, seconds=1.0, threads=1, engines=(), n_runs=n_runs)


@pytest.mark.parametrize("name", ["tensorflow", "earbit", ""])
def test_an_engine_that_is_not_there_is_named_with_those_that_are(program, name):
    with pytest.raises(ConfigError, match=f"no engine '{name}' .*allowed: torch"):
        bench_short(program, name)


@pytest.mark.parametrize(
    "origin", [{}, {"config": {}}, {"config": 1, "precisions": []}, {"precisions": 3}]
)
def test_a_program_that_does_not_say_its_model_is_an_error(program, tmp_path, origin):
    foreign = with_origin(program, origin, tmp_path / "foreign.safetensors")
    with pytest.raises(
        FormatError, match=r"foreign\.safetensors: its origin is missing or invalid"
    ):
        bench_short(foreign)


def test_precisions_that_are_no_list_are_an_error(program, tmp_path):
    origin = {**header_of(program)["origin"], "precisions": 3}
    with pytest.raises(FormatError, match="its origin is missing or invalid"):
        bench_short(with_origin(program, origin, tmp_path / "p.safetensors"))


def test_a_program_of_another_shape_than_it_says_is_not_timed(program, tmp_path):
    origin = header_of(program)["origin"]
    origin["config"]["encoder"]["d_model"] *= 2
    with pytest.raises(FormatError, match=r"engine earbit w1a1 gives .*24, 64.*expected .*24, 128"):
        bench_short(with_origin(program, origin, tmp_path / "p.safetensors"))


def test_a_program_that_gives_what_is_no_number_is_not_timed(program, tmp_path):
    tensors = {
        name: np.full_like(tensor, np.nan) if tensor.dtype == np.float32 else tensor
        for name, tensor in load_file(program).items()
    }
    path = tmp_path / "p.safetensors"
    header = header_of(program)
    del header["checksums"]  # of the weights that were there
    save_file(tensors, path, {METADATA_KEY: json.dumps(header)})
    with pytest.raises(FormatError, match=r"engine earbit w1a1 gives .*'is_finite': False.*; exp"):
        bench_short(path)


def test_an_engine_that_fails_gives_the_last_line_of_its_reason(program, monkeypatch):
    monkeypatch.setitem(PEERS, "ghost", Peer("fp32", "model", ()))  # the child does not know it
    with pytest.raises(UnsupportedError, match="engine ghost ended with status 1: ValueError: no"):
        bench_short(program, "ghost")


def test_programs_of_several_models_are_not_measured_together(program, tmp_path):
    origin = header_of(program)["origin"]
    origin["config"]["encoder"]["n_layers"] += 1
    other = with_origin(program, origin, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"other\.safetensors: made from another model"):
        bench({"one": program, "two": other}, seconds=0.5, threads=1, engines=())
    with pytest.raises(ConfigError, match="no program to measure"):
        bench({}, seconds=0.5, threads=1, engines=())


@pytest.fixture
def child(program, tmp_path):
    with started("earbit", program, tmp_path / "o.npy", seconds=0.5, threads=1) as child:
        yield child


def test_an_engine_that_is_killed_between_runs_is_an_error(child):
    child.answer()
    child.process.kill()
    child.process.wait()
    with pytest.raises(UnsupportedError, match="engine earbit ended with status -9: it gave n"):
        child.run()


def test_no_engine_outlives_its_measurement(program, tmp_path):
    with (
        pytest.raises(KeyError),
        started("earbit", program, tmp_path / "o.npy", seconds=0.5, threads=1) as child,
    ):
        raise KeyError
    assert child.process.poll() is not None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no way to pin a process here")
def test_an_engine_stands_on_as_many_processors_as_it_has_threads(child):
    child.answer()
    assert len(os.sched_getaffinity(child.process.pid)) == 1


def test_an_engine_is_told_its_threads_and_keeps_its_files_out_of_the_home():
    ours = {"GOMP_SPINCOUNT": "1000", "PATH": "/bin", "XDG_CACHE_HOME": "/home/me/.cache"}
    given = _environment(ours, 3, "/tmp/cache")
    # What our command line asks of PyTorch's threads is not for a peer.
    assert given.keys() & ours.keys() == {"PATH", "XDG_CACHE_HOME"}
    assert (given["PATH"], given["XDG_CACHE_HOME"]) == ("/bin", "/tmp/cache")
    for library in ("OMP", "MKL", "OPENBLAS"):
        assert given[f"{library}_NUM_THREADS"] == "3"
