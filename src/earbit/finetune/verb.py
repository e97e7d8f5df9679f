"""`earbit superb --finetune`: opens and checks everything, fine-tunes, and scores the result."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import CutSet

from earbit.audio.corpus import Corpus, decoded_corpus, open_corpus, say_ignored
from earbit.audio.splits import Splits
from earbit.config import override, to_dict
from earbit.errors import ConfigError
from earbit.finetune.config import FinetuneConfig
from earbit.finetune.held_out import held_out_clips
from earbit.finetune.loop import Clips, fine_tune
from earbit.finetune.network import Network
from earbit.finetune.score import score_network
from earbit.finetune.teacher import Teacher, open_teacher
from earbit.finetune.unlabelled import Unlabelled, open_unlabelled
from earbit.folder_lock import only_process_in
from earbit.frames import MIN_SAMPLES, n_frames_of
from earbit.heads.example import Example
from earbit.heads.head import HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.table import KINDS
from earbit.heads.split_checks import require_parts, say_short, say_splits
from earbit.heads.table import HEADS
from earbit.heads.trials import digest_with_trials
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.leaves import leaves_of
from earbit.pretrain.checkpoint import CHECKPOINTS
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.clips import clips_among
from earbit.quantize.plan import Plan
from earbit.quantize.report import require_program, say_without_program
from earbit.quantize.student import plan_for, student_of
from earbit.run_folder import claim
from earbit.superb.finished import finished_score
from earbit.superb.head_file import HEAD_NAME, TrainedHead
from earbit.superb.names import corpora_of, tasks_named
from earbit.superb.task import FINETUNED, Protocol, Task
from earbit.superb.work import Settings, named_work
from earbit.upstream.names import require_pytorch
from earbit.upstream.planned import Export
from earbit.upstream.upstream import model_named

LR = 1e-3
"""Peak learning rate of the head."""
RESULTS = (f"{CHECKPOINTS}/*", MODEL_FILE_NAME)
"""Files of a run; a folder without any is free for another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One fine-tuning, opened and checked."""

    task: Task
    corpus: Corpus
    splits: Splits[Example]
    model: AudioModel
    plan: Plan | None
    teacher: Teacher | None
    config: FinetuneConfig
    unlabelled: Unlabelled | None
    seed: int
    resplit: bool

    @property
    def slots(self) -> Slots:
        """Names of the outputs of the head."""
        return KINDS[self.task.kind].slots_of([example.target for example in self.splits.train])

    @property
    def shape(self) -> HeadShape:
        """Sizes of the head."""
        encoder = self.model.config.encoder
        return HeadShape(
            n_states=encoder.n_layers + 1,
            width=encoder.d_model,
            n_outputs=sum(map(len, self.slots)),
            d_hidden=self.config.d_hidden,
        )

    @property
    def description(self) -> dict[str, Any]:
        """All that determines the result, for config.json and checkpoints."""
        config = to_dict(self.config, without_later=True)
        if self.unlabelled is not None:
            config["unlabelled"]["corpus"] = None  # a place; the digest below is compared
        return {
            "stage": "finetune",
            "superb": {"tasks": [self.task.name], "seed": self.seed, "resplit": self.resplit},
            "plan": None if self.plan is None else self.plan.name,
            "rules": None if self.plan is None else self.plan.described(),
            "config": config,
            "model": weights_digest(self.model),
            "distilled_from": None if self.teacher is None else self.teacher.trained.model_digest,
            "corpus": digest_with_trials(self.corpus, self.task.kind),
            **({} if self.unlabelled is None else {"unlabelled": self.unlabelled.digest}),
        }


def fine_tune_model(
    where: str,
    tasks: Sequence[str],
    data: Sequence[str],
    out_dir: Path,
    *,
    settings: Settings,
    changes: Sequence[str] = (),
    plan: str | None = None,
    teacher: str | None = None,
    export: Export | None = None,
    seed: int,
    resplit: bool = False,
) -> list[dict[str, Any]]:
    """Fine-tunes a model on each task, in OUT for one task and in OUT/TASK for several.

    where: a model folder or file, quantized or not, or a preset.  data: as for `score_model`.
    changes: `field=value` of the `FinetuneConfig`.  plan: quantizes the model first, calibrated on
    training clips.  teacher: folder of a fine-tuning on the same task, from whose head the run
    starts.  export: scores the packed program.  Raises ConfigError, DataError and UnsupportedError,
    before any audio is decoded, for arguments that do not fit together.
    """
    require_pytorch(where, "--finetune")
    asked = tasks_named(tasks)
    if "all" in tasks:
        asked = [task for task in asked if task.head]
    if unfit := [task.name for task in asked if not task.head]:
        raise ConfigError(f"--task {unfit[0]} with --finetune: it has no head; leave it out")
    where_of = corpora_of(asked, data)
    runs = []
    for task in asked:
        corpus = open_corpus(where_of[task.name], resplit=resplit)
        work = named_work(task, corpus)
        assert isinstance(work.of_task, Splits)
        splits = _one_fold(work.of_task)
        require_parts(splits, "fine-tuning")
        _, protocol = settings.of(task, work.hours)
        model = model_named(where, seed)
        taught = None if teacher is None else open_teacher(teacher, task)
        config = _config(settings, task, protocol, taught.trained if taught else None, changes)
        run = Run(
            task=task,
            corpus=corpus,
            splits=splits,
            model=model,
            plan=None if plan is None else plan_for(where, model, plan),
            teacher=taught,
            config=config,
            unlabelled=open_unlabelled(config.unlabelled, held_out_clips(corpus, splits)),
            seed=seed,
            resplit=resplit,
        )
        if run.plan is not None:
            check_plan = say_without_program if export is None else require_program
            check_plan(run.plan, leaves_of(model))
        if taught is not None:
            taught.check(run.shape, run.slots)
        runs.append(run)
    return [
        _run(run, out_dir if len(runs) == 1 else out_dir / run.task.name, export) for run in runs
    ]


def _one_fold(splits: Splits[Example]) -> Splits[Example]:
    """Selects the first fold of cross-validation splits, since fine-tuning trains one model."""
    return next(iter(splits.folds.values()), splits)


def _config(
    settings: Settings,
    task: Task,
    protocol: Protocol,
    teacher: TrainedHead | None,
    changes: Sequence[str],
) -> FinetuneConfig:
    """Batches, steps and sizes of the protocol; raises ConfigError for invalid changes."""
    lrs = settings.lrs or (LR,)
    if len(lrs) > 1:
        raise ConfigError(
            f"--lrs {' '.join(map(str, lrs))} with --finetune; give one, the peak rate of the "
            "head, and set that of the encoder by --set encoder_lr_factor=0.5"
        )
    weight = 0.0 if teacher is None else 1.0
    config = override(
        FinetuneConfig(
            optimiser=OptimiserConfig(
                peak_lr=lrs[0],
                n_steps=protocol.n_steps,
                warmup_steps=protocol.n_steps // 10,
                max_gradient_norm=task.max_gradient_norm,
            ),
            batch_size=protocol.batch_size,
            d_hidden=protocol.d_hidden if teacher is None else teacher.head.shape.d_hidden,
            max_s=protocol.max_s,
            states=weight,
            logits=weight,
        ),
        changes,
    )
    if teacher is None and config.states + config.logits > 0:
        raise ConfigError(
            f"states={config.states:g}, logits={config.logits:g} without a teacher; give --teacher"
        )
    if config.max_s is not None and task.kind == "sequence":
        raise ConfigError(
            f"max_s={config.max_s:g} with {task.name}; a part of a clip has another text, so leave "
            "it out"
        )
    if config.augment.moves and task.kind == "segments":
        raise ConfigError(
            f"augment.shift_s and augment.speed with {task.name}; its labels have times, set both 0"
        )
    return config


def _run(run: Run, out_dir: Path, export: Export | None) -> dict[str, Any]:
    """Runs or resumes a fine-tuning; writes model, head, log and scores; returns the scores."""
    say_ignored(run.corpus)
    say_splits(run.task.name, run.splits)
    with only_process_in(out_dir):
        claim(out_dir, "finetune", run.description, RESULTS)
        files = [out_dir / name for name in (MODEL_FILE_NAME, HEAD_NAME)]
        before = finished_score(out_dir, files, lambda s: ("upstream" in s) == bool(export))
        if before is not None:
            return before
        run, waveforms = _decoded(run, out_dir)
        clips = Clips(
            task=run.task,
            splits=run.splits,
            slots=run.slots,
            waveforms=waveforms,
            unlabelled=run.unlabelled,
        )
        say_short(
            KINDS[run.task.kind],
            run.task.label,
            clips.splits.train,
            lambda i: n_frames_of(waveforms[i].size),
        )
        network, described = _network(run, clips), run.description
        teacher = None
        if run.teacher is not None:
            run.teacher.say_other_corpus(described["corpus"])
            teacher = Network(run.teacher.model, run.teacher.trained.head)
        fine_tune(network, teacher, clips, run.config, out_dir, seed=run.seed, run=described)
        save_model(network.model, out_dir / MODEL_FILE_NAME, described)
        record = {"finetuned": True, "protocol_name": FINETUNED, **described}
        return score_network(
            network, clips, run.corpus, run.config.optimiser, out_dir, export, run.seed, record
        )


def _decoded(run: Run, out_dir: Path) -> tuple[Run, Mapping[str, np.ndarray]]:
    """The audio of the task, and the run without the clips that cannot be decoded."""
    corpus, ids = run.corpus, run.splits.ids
    needed = CutSet.from_cuts(cut for cut in corpus.cuts if cut.id in ids)
    decoded, waveforms = decoded_corpus(dataclasses.replace(corpus, cuts=needed), out_dir)
    if decoded.digest == corpus.digest:
        return run, waveforms
    lost = ids - waveforms.keys()
    cuts = CutSet.from_cuts(cut for cut in corpus.cuts if cut.id not in lost)
    corpus = dataclasses.replace(decoded, cuts=cuts)
    of_task = named_work(run.task, corpus).of_task
    assert isinstance(of_task, Splits)
    splits = _one_fold(of_task)  # drawn anew, so other clips may be held out
    unlabelled = open_unlabelled(run.config.unlabelled, held_out_clips(corpus, splits))
    run = dataclasses.replace(run, corpus=corpus, splits=splits, unlabelled=unlabelled)
    return run, waveforms


def _network(run: Run, clips: Clips) -> Network:
    """The network before the first step, with the head of the teacher or a new one."""
    model, seed = run.model, run.seed
    if run.plan is not None:
        audio = clips.waveforms
        ids = (e.id for e in clips.splits.train if audio[e.id].size >= MIN_SAMPLES)
        chosen = [audio[i] for i in clips_among(ids, seed)]
        model = student_of(model, run.plan, chosen, CalibrationConfig())
    if run.teacher is not None:
        return Network(model, copy.deepcopy(run.teacher.trained.head))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(model, HEADS[run.task.head](run.shape))
