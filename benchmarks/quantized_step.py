"""A quantization-aware training step beside the full-precision one: time, and memory it holds.

    python benchmarks/quantized_step.py [--presets hubert-base conformer-s] [--plans w1a1]
                                        [--seconds 4] [--compile] [--json FILE or -]

A step is forward, backward and optimiser on one clip, without a teacher.  Memory is that of all
tensors which the forward pass keeps for the backward pass, parameters left out, and not the peak:
codes are made again, one product's at a time.  Before anything is timed, a step is checked to leave
all parameters finite and to change those that have a gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.presets import preset
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser
from earbit.quantize.student import noise_clips, quantized_copy
from report import arguments, goal, in_turn, machine, quartiles, show

OPTIMISER = OptimiserConfig(peak_lr=1e-4, n_steps=1, warmup_steps=0)


def without_layer_drop(config: ModelConfig) -> ModelConfig:
    """A layer that is left out by chance is none that is timed."""
    if not hasattr(config.encoder, "layer_drop"):
        return config
    return dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, layer_drop=0.0))


def step_of(model: torch.nn.Module, wave: torch.Tensor, *, compiled: bool) -> Callable[[], None]:
    optimiser = build_optimiser(model, OPTIMISER)
    run = torch.compile(model) if compiled else model

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        state = run(wave).states[-1]
        # Not its square: behind a layer norm that is constant.
        (state * state.detach().roll(1, dims=-1)).sum().backward()
        optimiser.step()

    return step


def kept_bytes(model: torch.nn.Module, wave: torch.Tensor) -> int:
    """Of the storages that the graph holds on to between forward and backward."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}
    alive = []

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model(wave)
    return sum(sizes.values())


def check(model: torch.nn.Module, step: Callable[[], None], name: str) -> set[str]:
    """Takes a step; the parameters that have no gradient, by name."""
    before = [p.detach().clone() for p in model.parameters()]
    step()
    for (which, p), old in zip(model.named_parameters(), before, strict=True):
        if not bool(torch.isfinite(p).all()):
            raise SystemExit(f"{name}: {which} is not finite after a step")
        # Adam moves nothing that can be seen by a gradient far below its epsilon.
        if p.grad is not None and torch.equal(p, old) and bool(p.grad.abs().max() > 1e-6):
            raise SystemExit(f"{name}: {which} did not move")
    return {which for which, p in model.named_parameters() if p.grad is None}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--presets", nargs="+", default=["hubert-base", "conformer-s"])
    parser.add_argument("--plans", nargs="+", default=["w1a1"])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--compile", action="store_true", help="both sides through torch.compile")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(1, int(options.seconds * 16_000))
    rows, lines = [], []
    for name in options.presets:
        float_model = random_model(without_layer_drop(preset(name)), 0)
        models = {"fp32": float_model.train()}
        for plan in options.plans:
            models[plan] = quantized_copy(float_model, plan, noise_clips(0)).train()
        steps = {p: step_of(m, wave, compiled=options.compile) for p, m in models.items()}
        kept = {plan: kept_bytes(model, wave) for plan, model in models.items()}
        still = {p: check(models[p], step, f"{name} {p}") for p, step in steps.items()}
        for plan, names in still.items():
            # What no clip without a mask reaches, and nothing else.
            if names - still["fp32"]:
                raise SystemExit(f"{name} {plan}: {sorted(names - still['fp32'])} has no gradient")
        times = in_turn(steps, options.runs)
        for plan, values in times.items():
            row = {"preset": name, "plan": plan, "kept_bytes": kept[plan]} | quartiles(values)
            row["times_fp32"] = row["median_ms"] / quartiles(times["fp32"])["median_ms"]
            row["memory_over_fp32"] = kept[plan] / kept["fp32"]
            rows.append(row)
            lines.append(
                f"{name:<20} {plan:<14} {row['median_ms']:>8.0f} ms ({row['p25_ms']:.0f}-"
                f"{row['p75_ms']:.0f})  {row['times_fp32']:.2f}x fp32, keeps "
                f"{kept[plan] / 1e6:.0f} MB, {row['memory_over_fp32']:.2f}x"
            )
    for row in rows:
        if row["plan"] != "fp32":
            what = f"{row['preset']} {row['plan']}"
            time, memory = row["times_fp32"], row["memory_over_fp32"]
            lines.append(goal(f"{what}, time over fp32 <= 1.3", time, time <= 1.3))
            lines.append(goal(f"{what}, memory over fp32 <= 1.25", memory, memory <= 1.25))
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "audio_s": options.seconds,
        "compiled": options.compile,
        "rows": rows,
    }
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
