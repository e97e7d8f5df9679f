"""A step of HuBERT pre-training: ours beside transformers' HubertModel with the same loss.

    python benchmarks/pretrain_step.py [--preset hubert-base] [--rows 2] [--seconds 6] [--runs 10]
        [--threads 2] [--json FILE or -]

Same weights, audio, masks, targets and dropout rates, fp32; no layer is dropped.  Losses and the
norms of the gradients are compared without dropout first.  A step is forward, backward, clipping
and AdamW.  The two take turns.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F

from earbit.distributed import n_ranks
from earbit.frames import n_frames_of
from earbit.load import random_model
from earbit.nn.evaluation import evaluating
from earbit.presets import preset
from earbit.pretrain.data import MicroBatch
from earbit.pretrain.masking import MaskConfig, batch_mask
from earbit.pretrain.objective import FEATURE_PENALTY_WEIGHT, masked_units
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser
from earbit.pretrain.parallel import Parallel
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.update import Update
from report import HERE, arguments, goal, in_turn, machine, quartiles, show

sys.path.insert(0, str(HERE.parent / "tests"))
from hugging_face import hugging_face_twin, their_name  # noqa: E402

N_UNITS = 504
CONFIG = TrainConfig(optimiser=OptimiserConfig(peak_lr=5e-4, n_steps=1000, warmup_steps=80))


class Plain(torch.nn.Module):
    """HubertModel with HuBERT's head and loss, as its paper writes them."""

    def __init__(self, hubert: torch.nn.Module, d_model: int, d_unit: int, scale: float) -> None:
        super().__init__()
        self.hubert = hubert
        self.projection = torch.nn.Linear(d_model, d_unit)
        self.embeddings = torch.nn.Parameter(torch.rand(N_UNITS, d_unit))
        self.scale = scale

    def forward(
        self, wave_BN: torch.Tensor, mask_BT: torch.Tensor, targets_BT: torch.Tensor
    ) -> torch.Tensor:
        features_BCT = self.hubert.feature_extractor(wave_BN)
        if features_BCT.requires_grad:
            features_BCT.register_hook(lambda grad: grad * self.scale)
        penalty = features_BCT.float().square().mean()
        x_BTD = self.hubert.feature_projection(features_BCT.transpose(1, 2))
        x_BTD = self.hubert._mask_hidden_states(x_BTD, mask_time_indices=mask_BT)
        state_BTD = self.hubert.encoder(x_BTD)[0]
        projected_BTE = self.projection(state_BTD[mask_BT])
        logits = F.cosine_similarity(projected_BTE[:, None], self.embeddings[None], dim=-1) / 0.1
        return F.cross_entropy(logits, targets_BT[mask_BT]) + FEATURE_PENALTY_WEIGHT * penalty


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--preset", default="hubert-base")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = preset(options.preset)
    encoder = dataclasses.replace(config.encoder, layer_drop=0.0)
    config = dataclasses.replace(config, encoder=encoder, n_units=N_UNITS)
    ours = random_model(config, 0)
    generator = torch.Generator().manual_seed(0)
    n_samples = int(options.seconds * 16_000)
    wave_BN = 0.1 * torch.randn(options.rows, n_samples, generator=generator)
    n_frames = n_frames_of(n_samples)
    mask_BT = batch_mask(options.rows, n_frames, MaskConfig(), generator)
    targets_BT = torch.randint(N_UNITS, (options.rows, n_frames), generator=generator)

    theirs = Plain(
        hugging_face_twin(config, "sdpa"),
        encoder.d_model,
        config.d_unit,
        config.feature_gradient_scale,
    )
    of_config = theirs.hubert.config
    of_config.layerdrop = 0.0
    of_config.apply_spec_augment = True
    for module in theirs.modules():
        # Ours: residual, attention and input dropout; none after the activation.
        if isinstance(module, torch.nn.Dropout):
            module.p = encoder.dropout
        if hasattr(module, "intermediate_dropout"):
            module.intermediate_dropout.p = 0.0
    weights = {their_name(name): value for name, value in ours.state_dict().items()}
    head = {name: weights.pop(name) for name in list(weights) if name.startswith("head.")}
    theirs.hubert.load_state_dict(weights)
    theirs.projection.load_state_dict(
        {"weight": head["head.projection.weight"], "bias": head["head.projection.bias"]}
    )
    theirs.embeddings.data.copy_(head["head.embeddings"])

    objective = masked_units(0.0)
    batch = MicroBatch(
        number=1,
        ids=tuple(map(str, range(options.rows))),
        waveforms=wave_BN,
        starts=(0,) * options.rows,
        mask_BT=mask_BT,
        targets_BT=targets_BT,
    )
    compare(ours, theirs, objective, batch)
    ours.train()
    theirs.train()
    optimiser = build_optimiser(theirs, CONFIG.optimiser)

    def their_step() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = theirs(wave_BN, mask_BT, targets_BT)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), CONFIG.optimiser.max_gradient_norm)
        optimiser.step()
        return float(loss.detach())

    with tempfile.TemporaryDirectory() as folder:
        cpu = torch.device("cpu")
        parallel = Parallel(ours, objective, "fp32", "ddp")
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        of_ours = build_optimiser(ours, CONFIG.optimiser)
        update = Update(parallel, of_ours, scaler, CONFIG, Path(folder), cpu, n_ranks())
        update.resume(0)
        steps = {"earbit": lambda: update([batch], 1), "transformers": their_step}
        for step in steps.values():
            step()
        times = in_turn(steps, options.runs)
    rows = {name: quartiles(values) for name, values in times.items()}
    ratio = rows["transformers"]["median_ms"] / rows["earbit"]["median_ms"]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "preset": options.preset,
        "audio_s": options.rows * options.seconds,
        "rows": rows,
        "throughput_over_transformers": ratio,
        "ms_of_runs": times,
    }
    lines = [
        f"{name:<13} {row['median_ms']:>9.1f} ms ({row['p25_ms']:.1f}-{row['p75_ms']:.1f})"
        for name, row in rows.items()
    ]
    lines.append(goal("throughput over that of transformers >= 1.0", ratio, ratio >= 1.0))
    show(result, lines, options.json)


def compare(ours: torch.nn.Module, theirs: Plain, objective: object, batch: MicroBatch) -> None:
    """Raises AssertionError if losses or gradients differ without dropout."""
    norms = []
    inputs = (batch.waveforms, batch.mask_BT, batch.targets_BT)
    losses = []
    for model, loss_of in (
        (ours, lambda: objective.loss(ours, *inputs).total),
        (theirs, lambda: theirs(*inputs)),
    ):
        with evaluating(model):
            loss = loss_of()
            loss.backward()
        losses.append(loss.detach())
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]))
        model.zero_grad(set_to_none=True)
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(norms[0], norms[1], atol=1e-4, rtol=1e-3)


if __name__ == "__main__":
    main()
