"""Upstreams that are made in the folder of a run: a model under a plan, or its packed program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earbit.audio.corpus import Corpus
from earbit.errors import ConfigError
from earbit.load import load_model, refuse_quantized
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.devices import TrainPrecision, device_named
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.quantize.calibrate import WITHOUT_TRAINING
from earbit.quantize.clips import audio_of
from earbit.quantize.plan import Plan
from earbit.quantize.student import is_under, plan_for, student_of
from earbit.upstream.names import require_pytorch
from earbit.upstream.upstream import (
    Upstream,
    model_named,
    model_size,
    model_upstream,
    program_upstream,
)

PROGRAM_NAME = "program.safetensors"
Export = Callable[[AudioModel, Path, Path | None], None]
"""(model, program file to write, folder of a head to pack or None); `superb` cannot import it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A model that is to be scored under a plan, from the packed runtime, or both."""

    where: str
    model: AudioModel
    plan: Plan | None
    export: Export | None
    digest: str
    device: str = "cpu"
    precision: TrainPrecision = "fp32"

    @property
    def record(self) -> dict[str, Any]:
        """What config.json and scores.json hold."""
        return {
            "plan": None if self.plan is None else self.plan.name,
            "upstream": "pytorch" if self.export is None else "runtime",
        }

    def files(self, out_dir: Path) -> list[Path]:
        """Files that `upstream` writes."""
        model = [] if self.plan is None else [out_dir / MODEL_FILE_NAME]
        return model + ([] if self.export is None else [out_dir / PROGRAM_NAME])

    def upstream(
        self, corpus: Corpus, ids: set[str], out_dir: Path, seed: int, n: int, *, is_made: bool
    ) -> Upstream:
        """Calibrates on up to 16 of the clips `ids`, without their labels; n: threads.

        is_made: an earlier run of other tasks has written the files, and its model is read.  Writes
        OUT/model.safetensors for a plan, and OUT/program.safetensors for the runtime.
        """
        model, name = self.model, self.where
        if is_made and self.plan is not None and (out_dir / MODEL_FILE_NAME).is_file():
            model = load_model(out_dir)
        elif self.plan is not None:
            is_kept = is_under(model, self.plan)
            clips = audio_of(corpus, ids, seed)
            model = student_of(model, self.plan, clips, WITHOUT_TRAINING).eval()
            origin = {"stage": "superb", "plan": self.plan.name, "model": self.digest}
            save_model(model, out_dir / MODEL_FILE_NAME, origin)
            how = "keeps its scales" if is_kept else "calibrated"
            say(f"{self.where}: {how} under {self.plan.name}, not trained")
        if self.export is None:
            return model_upstream(name, model, self.device, self.precision)
        program = out_dir / PROGRAM_NAME
        self.export(model, program, None)
        # A head on these features is one of the model, and can be packed with it.
        of_program = program_upstream(program, n)
        size = {**model_size(model), **of_program.size}
        digest = weights_digest(model)
        return replace(of_program, model_digest=digest, device=self.device, size=size)


def planned(
    where: str,
    plan: str | None,
    export: Export | None,
    seed: int,
    device: str = "cpu",
    precision: TrainPrecision = "fp32",
) -> Planned:
    """Opens a model and checks the plan.

    Raises ConfigError for an upstream that is no model, for a quantized model with a plan, and for
    a precision of the packed runtime.
    """
    if export is not None and precision != "fp32":
        raise ConfigError(
            f"--precision {precision} with --upstream runtime, whose precision is that of the "
            "plan; leave one of them out"
        )
    require_pytorch(where, "--plan" if plan is not None else "--upstream runtime")
    model = model_named(where, seed)
    if plan is not None and where not in PRESETS:
        refuse_quantized(where, model, "leave out --plan")
    chosen = None if plan is None else plan_for(where, model, plan)
    device_named(device)
    return Planned(where, model, chosen, export, weights_digest(model), device, precision)
