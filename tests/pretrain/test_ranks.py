"""Several ranks do what one does, and end together when one of them fails."""

import json
import re
import signal

import pytest
import torch
from rank_run import run_ranks, start_ranks
from safetensors.torch import load_file


def lines(path):
    """JSON lines of a file, without the speed of the machine."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k != "machine"} if isinstance(line, dict) else line
        for line in found
    ]


def seen(out, n_ranks):
    return sorted(line for i in range(n_ranks) for line in lines(out / f"seen-{i}.jsonl"))


def assert_same(one, several, n_ranks, *, log=True):
    if log:
        before, now = lines(one / "log.jsonl"), lines(several / "log.jsonl")
        for a, b in zip(before, now, strict=True):
            # A step in which no clip can be read has neither.
            assert a.get("n_masked") == b.get("n_masked"), a["step"]
            assert b.get("loss") == pytest.approx(a.get("loss"), abs=1e-6), a["step"]
        assert seen(one, 1) == seen(several, n_ranks)
    weights, others = (load_file(out / "weights.safetensors") for out in (one, several))
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-4, atol=1e-5)
    figures, other_figures = (json.loads((o / "figures.json").read_text()) for o in (one, several))
    assert other_figures == pytest.approx(figures, rel=1e-5)


@pytest.mark.parametrize(
    ("encoder", "settings"),
    [
        # Dropped layers, and two clips that cannot be decoded, one of them alone in its batch.
        ("transformer", ("unreadable=c1,c4",)),
        pytest.param("conformer", ("optimiser.n_steps=8",), marks=pytest.mark.slow),
        # FSDP gathers the parameters in micro-batches without a clip too.
        pytest.param(
            "plain",
            ("machine.sharding=fsdp", "optimiser.n_steps=6", "unreadable=c1,c4"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_ranks_see_and_learn_what_one_does_with_twice_the_accumulation(
    tmp_path, encoder, settings
):
    one, two = tmp_path / "one", tmp_path / "two"
    n = 1 if encoder == "conformer" else 2  # micro-batches of each of two ranks
    several = [f"encoder={encoder}", f"accumulation={n}", *settings]
    assert run_ranks(1, one, *several, f"accumulation={2 * n}")[0] == [0]
    assert run_ranks(2, two, *several)[0] == [0, 0]
    assert_same(one, two, 2)
    if encoder == "transformer":
        assert len(lines(one / "log.jsonl")) == 30
        bad = {line["path"] for line in lines(two / "quarantine.jsonl")}
        assert bad == {"c1", "c4"}


@pytest.mark.slow
def test_a_run_resumes_with_other_ranks_if_the_micro_batches_stay_the_same(tmp_path):
    one, moved = tmp_path / "one", tmp_path / "moved"
    run_ranks(1, one, "accumulation=2", "optimiser.n_steps=12")
    codes, said = run_ranks(2, moved, "optimiser.n_steps=12", "fault=7:1:term")
    assert codes == [143, 143]
    assert "Terminated: training after step 7 of 12" in said
    codes, said = run_ranks(2, moved, "optimiser.n_steps=12", "accumulation=2")
    assert 2 in codes
    assert said.count("holds a run with 2 micro-batches in an update") == 1
    assert "here 2 ranks x train.accumulation=2 = 4; set train.accumulation=1" in said
    assert run_ranks(1, moved, "optimiser.n_steps=12", "accumulation=2")[0] == [0]
    assert_same(one, moved, 1, log=False)
    assert [line["step"] for line in lines(moved / "log.jsonl")] == list(range(1, 13))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        pytest.param(("encoder=plain", "machine.sharding=fsdp"), marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_is_not_a_number_on_one_rank_is_skipped_by_all(tmp_path, settings):
    codes, said = run_ranks(2, tmp_path, "optimiser.n_steps=9", "fault=7:1:nan", *settings)
    assert codes == [0, 0]
    (line,) = lines(tmp_path / "skipped.jsonl")
    of_rank_1 = lines(tmp_path / "seen-1.jsonl")[6]
    assert (line["step"], line["rank"], line["ids"]) == (7, 1, of_rank_1[1])
    assert "the loss is nan" in line["what"]
    assert said.count("skipped: step 7") == 1
    losses = [line.get("loss") for line in lines(tmp_path / "log.jsonl")]
    assert [i for i, loss in enumerate(losses, 1) if loss is None] == [7]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("dead", r"earbit: rank 1 of 2: process \d+ on .* ended without a message \(killed\?\)"),
        pytest.param("error", "earbit: rank 1 of 2: RuntimeError: a bug", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_fails_ends_the_others_with_one_line_that_says_why(tmp_path, fault, message):
    codes, said = run_ranks(2, tmp_path, f"fault=7:1:{fault}")
    assert codes == ([1, -signal.SIGKILL] if fault == "dead" else [1, 1])
    told = [line for line in said.splitlines() if line.startswith("earbit:")]
    assert len(told) == 1
    assert re.match(message, told[0])


@pytest.mark.slow
def test_a_second_interruption_of_one_rank_ends_the_others_in_one_line(tmp_path):
    codes, said = run_ranks(2, tmp_path, "fault=7:1:interrupt")
    assert 0 not in codes
    assert "Traceback" not in said
    told = [line for line in said.splitlines() if line.startswith("earbit:")]
    assert told == ["earbit: rank 1 of 2 was interrupted; the other ranks end"]


def test_after_a_kill_two_ranks_end_with_the_same_bits(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run_ranks(2, whole, "optimiser.n_steps=12")
    for process in start_ranks(2, cut, "optimiser.n_steps=12", "fault=7:0:dead"):
        process.join(240)
        assert not process.is_alive()
    run_ranks(2, cut, "optimiser.n_steps=12")
    weights, others = (load_file(out / "weights.safetensors") for out in (whole, cut))
    assert all(torch.equal(others[name], tensor) for name, tensor in weights.items())
    assert lines(whole / "log.jsonl") == lines(cut / "log.jsonl")
