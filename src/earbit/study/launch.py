"""Lines for torchrun: the study as a whole, or each of its pre-trainings alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.files import make_folder, write_json
from earbit.study.request import Request
from earbit.study.step import Place, Step, in_order

RECIPES = "recipes"
"""Folder of the recipes of the pre-trainings, for `earbit pretrain`."""
PER_NODE = 8


def launch_lines(
    steps: Sequence[Step], places: Mapping[str, Place], request: Request, out_dir: Path
) -> list[str]:
    """Command lines for a scale that is meant for several processes; none for one.

    A study that is started afterwards finds what the lines of single steps have made.
    """
    if request.scale.ranks == 1:
        return []
    torchrun = _torchrun(request.scale.ranks)
    return [
        f"the pre-trainings are meant for {request.scale.ranks} processes: start this command with",
        f"  {torchrun} -m earbit study ...",
        "or these lines in turn, and then this command, which uses their results:",
        *(f"  {line}" for line in _single(steps, places, request, out_dir, torchrun)),
    ]


def _torchrun(n_ranks: int) -> str:
    per_node = min(PER_NODE, n_ranks)
    return (
        f"torchrun --nnodes {n_ranks // per_node} --nproc-per-node {per_node} "
        "--rdzv-backend c10d --rdzv-endpoint HOST:PORT"
    )


def _single(
    steps: Sequence[Step],
    places: Mapping[str, Place],
    request: Request,
    out_dir: Path,
    torchrun: str,
) -> Iterator[str]:
    for step in in_order(steps):
        folder = places[step.id].folder
        if "labels" in step.settings:
            continue  # given units, which the pre-trainings name
        if step.stage in ("units", "units2"):
            words = ["units", request.corpus, *_options(step, places), "--out", folder]
        elif step.stage in ("pretrain", "pretrain2"):
            words = ["pretrain", _recipe_path(step, out_dir), "--out", folder]
        else:
            continue
        yield f"{torchrun} -m earbit {shlex.join(map(str, words))}"


def _options(step: Step, places: Mapping[str, Place]) -> Iterator[Any]:
    """Options of `earbit units` that make the units of a step."""
    settings = step.settings
    if "model" in step.needs:
        yield from ("--model", places[step.needs["model"]].folder, "--layer", settings["layer"])
    yield from ("--n-units", settings["n_units"], "--seed", step.seed)
    if settings["fraction"] is not None:
        yield from ("--fraction", settings["fraction"])
    yield from ("--memory-gb", settings["memory_gb"])
    if settings["resplit"]:
        yield "--resplit"


def write_recipes(
    steps: Sequence[Step], places: Mapping[str, Place], request: Request, out_dir: Path
) -> None:
    """Writes the recipes that the lines name, for a scale that is meant for several processes."""
    if request.scale.ranks == 1:
        return
    make_folder(out_dir / RECIPES)
    for step in steps:
        if step.stage in ("pretrain", "pretrain2"):
            recipe: dict[str, Any] = {**step.settings["recipe"], "corpus": request.corpus}
            recipe["resplit"] = request.resplit
            recipe["units"] = step.inputs["units"] or str(places[step.needs["units"]].folder)
            recipe["train"] = {**recipe["train"], "machine": step.inputs["machine"]}
            write_json(_recipe_path(step, out_dir), recipe)


def _recipe_path(step: Step, out_dir: Path) -> Path:
    return out_dir / RECIPES / f"{step.encoder}-{step.stage}-seed{step.seed}.json"
