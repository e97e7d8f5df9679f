"""Several ranks do what one does, and end together when one of them fails."""

import json
import re
import signal

import pytest
import torch
from rank_run import run_ranks
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


SETTINGS = ("accumulation=2", "unreadable=c1,c4", "fault=28:nan")
"""Layers are dropped; of two clips that cannot be decoded, one is alone in its micro-batch.

An update has four micro-batches, so number 28 is in step 7, and rank 1 of 2 has it."""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two ranks: its folder, and what they have printed."""
    out = tmp_path_factory.mktemp("two")
    codes, said = run_ranks(2, out, *SETTINGS)
    assert codes == [0, 0]
    return out, said


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The same run, in which rank 1 is killed in step 9: folder, exit codes, what was printed."""
    out = tmp_path_factory.mktemp("cut")
    return out, *run_ranks(2, out, *SETTINGS[:-1], "fault=28:nan,34:dead")


def test_two_ranks_see_and_learn_what_one_does_with_twice_the_accumulation(two, tmp_path):
    out, _ = two
    assert run_ranks(1, tmp_path, *SETTINGS, "accumulation=4")[0] == [0]
    assert_same(tmp_path, out, 2)
    assert len(lines(tmp_path / "log.jsonl")) == 30
    bad = {line["id"] for line in lines(out / "quarantine.jsonl")}
    assert bad == {"c1", "c4"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accumulation", "settings"),
    [
        (1, ("encoder=conformer", "optimiser.n_steps=8")),
        # FSDP gathers the parameters in micro-batches without a clip too.
        (
            2,
            (
                "encoder=plain",
                "machine.sharding=fsdp",
                "optimiser.n_steps=8",
                "unreadable=c1,c4",
                "fault=28:nan",
            ),
        ),
    ],
)
def test_conformers_and_fsdp_learn_the_same_on_two_ranks(tmp_path, accumulation, settings):
    one, several = tmp_path / "one", tmp_path / "several"
    assert run_ranks(1, one, *settings, f"accumulation={2 * accumulation}")[0] == [0]
    assert run_ranks(2, several, *settings, f"accumulation={accumulation}")[0] == [0, 0]
    assert_same(one, several, 2)


@pytest.mark.slow
def test_a_run_resumes_with_other_ranks_if_the_micro_batches_stay_the_same(tmp_path):
    one, moved = tmp_path / "one", tmp_path / "moved"
    run_ranks(1, one, "accumulation=2", "optimiser.n_steps=12")
    codes, said = run_ranks(2, moved, "optimiser.n_steps=12", "fault=14:term")
    assert codes == [143, 143]
    assert "Terminated: training after step 7 of 12" in said
    codes, said = run_ranks(2, moved, "optimiser.n_steps=12", "accumulation=2")
    assert 2 in codes
    assert said.count("holds a run with 2 micro-batches in an update") == 1
    assert "here 2 ranks x train.accumulation=2 = 4; set train.accumulation=1" in said
    assert run_ranks(1, moved, "optimiser.n_steps=12", "accumulation=2")[0] == [0]
    assert_same(one, moved, 1, log=False)
    assert [line["step"] for line in lines(moved / "log.jsonl")] == list(range(1, 13))


def test_a_loss_that_is_not_a_number_on_one_rank_is_skipped_by_all(two):
    out, said = two
    (line,) = lines(out / "skipped.jsonl")
    (batch,) = (batch for batch in lines(out / "seen-1.jsonl") if batch[0] == 28)
    assert (line["step"], line["rank"], line["ids"]) == (7, 1, batch[1])
    assert "the loss is nan" in line["what"]
    assert said.count("skipped: step 7") == 1
    losses = [line.get("loss") for line in lines(out / "log.jsonl")]
    assert losses[6] is None
    assert None not in losses[7:]


def told(said):
    return [line for line in said.splitlines() if line.startswith("earbit:")]


def test_a_rank_that_dies_ends_the_others_with_one_line_that_says_which(cut):
    _, codes, said = cut
    assert codes == [1, -signal.SIGKILL]
    (line,) = told(said)
    died = r"earbit: rank 1 of 2: process \d+ on .* ended without a message \(killed\?\)"
    assert re.match(died, line)


def test_after_a_kill_two_ranks_end_with_the_same_bits(cut, two):
    whole, out = two[0], cut[0]
    assert run_ranks(2, out, *SETTINGS)[0] == [0, 0]
    weights, others = (load_file(folder / "weights.safetensors") for folder in (whole, out))
    assert all(torch.equal(others[name], tensor) for name, tensor in weights.items())
    assert lines(whole / "log.jsonl") == lines(out / "log.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "codes", "message"),
    [
        ("fault=14:error", [1, 1], "rank 1 of 2: RuntimeError: a bug"),
        ("fault=14:interrupt", [1, 143], "rank 1 of 2 was interrupted; the other ranks end"),
        ("sigterm=1", [1, 143], "rank 1 of 2 was ended by SIGTERM; the other ranks end"),
        ("sigterm=0,1", [143, 143], "Terminated: "),
    ],
)
def test_a_rank_that_fails_ends_the_others_with_one_line(tmp_path, fault, codes, message):
    found, said = run_ranks(2, tmp_path, fault)
    assert found == codes
    (line,) = told(said)
    assert re.match(f"earbit: {message}", line)
    assert ("Traceback" in said) == ("error" in fault)
