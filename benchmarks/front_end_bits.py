"""What six convolutions in a row keep in few bits, and what helps: a front end on spoken words.

    python benchmarks/front_end_bits.py --corpus DIR [--seeds 0 1] [--variants NAME ...]
                                        [--steps 720] [--json FILE or -]

A front end of 96 channels, the mean over time and a linear layer tell the keywords of a corpus
apart; its speakers are split as for `earbit superb --task ks`.  Convolutions 1 to 6 have the bits
of the variant, the first one and the linear layer are float.  A variant is bits, then what is
changed: `batch` norm and `shortcut`s of the front end's config, and how it is trained, in --steps
in all: from scratch, or half of them for a float twin and half from there: `float`, on the words
alone; `distil`, the twin's outputs of every convolution are goals too; `steps`, likewise, through
8, 4 and 2 bits; `layers`, likewise, one convolution more at a time.  `bias`, every convolution has
one: a shift behind the product beside the one before it.  `signed`, inputs of a convolution keep
their GELU and become -a or +a, not 0 or a behind a ReLU.

Every row is written to the JSON file when it is there, and taken from it by the next call.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.nn import functional as F

from earbit.files import write_json
from earbit.nn.front_end import FrontEnd, FrontEndConfig
from earbit.nn.leaves import Linear
from earbit.nn.precision import Precision
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser, lr_at, set_lr
from earbit.quantize.calibrate import calibrate, quantizers_of
from earbit.quantize.convert import convert
from keyword_clips import CLIP_SAMPLES, Words, commonest_share, words_of
from report import machine, show

VARIANTS = (
    "fp32",
    "fp32 batch shortcut",
    "w1a1",
    "w1a1 bias",
    "w1a1 signed",
    "w1a1 batch",
    "w1a1 shortcut",
    "w1a1 batch shortcut",
    "w1a1 distil",
    "w1a1 batch distil",
    "w1a1 batch shortcut float",
    "w1a1 batch shortcut distil",
    "w1a1 batch shortcut signed float",
    "w1a1 batch shortcut steps",
    "w1a1 batch shortcut layers",
    "graded",
    "graded batch shortcut distil",
    "w1a2",
    "w1a2 batch shortcut distil",
    "w1a4",
    "w1a4 distil",
    "w2a2",
    "w4a4",
    "w8a8",
)
GRADED = ("w1a8", "w1a4", "w1a2", "w1a1", "w1a1", "w1a1")
"""The first convolutions at more bits than the last."""
HALFWAY = {"float", "distil", "steps", "layers"}
"""Ways that begin with a float twin."""
N_CHANNELS = 96


class WordModel(torch.nn.Module):
    """(B, N) -> (B, words)."""

    def __init__(self, config: FrontEndConfig, n_words: int) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(config)
        self.norm = torch.nn.LayerNorm(config.n_channels)
        self.head = Linear(config.n_channels, n_words)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        features = self.front_end(wave).transpose(1, 2)
        return self.head(self.norm(features).mean(1))


@torch.no_grad()
def accuracy(model: WordModel, words: Words) -> float:
    model.eval()
    n_right = 0
    for clip, word in words.test:
        middle = (len(clip) - CLIP_SAMPLES) // 2
        wave = torch.from_numpy(clip[middle : middle + CLIP_SAMPLES])[None]
        n_right += int(model(wave).argmax(-1)) == word
    model.train()
    return n_right / len(words.test)


def outputs_of(model: WordModel, wave: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What comes out of every convolution, each frame of unit variance, and the logits."""
    seen: list[torch.Tensor] = []
    hooks = [
        conv.register_forward_hook(lambda m, args, y: seen.append(y.transpose(1, 2)))
        for conv in model.front_end.convs[1:]
    ]
    logits = model(wave)
    for hook in hooks:
        hook.remove()
    return [F.layer_norm(y, y.shape[-1:]) for y in seen], logits


def train(
    model: WordModel, words: Words, n_steps: int, seed: int, teacher: WordModel | None = None
) -> None:
    config = OptimiserConfig(
        peak_lr=2e-3, n_steps=n_steps, warmup_steps=n_steps // 10, max_gradient_norm=1.0
    )
    optimiser = build_optimiser(model, config)
    for step, (wave, word) in enumerate(words.batches(n_steps, seed), start=1):
        set_lr(optimiser, lr_at(step, config))
        if teacher is None:
            loss = F.cross_entropy(model(wave), word)
        else:
            outputs, logits = outputs_of(model, wave)
            with torch.no_grad():
                goals, goal = outputs_of(teacher, wave)
            distances = [F.mse_loss(a, b) for a, b in zip(outputs, goals, strict=True)]
            divergence = F.kl_div(
                logits.log_softmax(-1),
                goal.log_softmax(-1),
                log_target=True,
                reduction="batchmean",
            )
            loss = F.cross_entropy(logits, word) + torch.stack(distances).mean() + divergence
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
        optimiser.step()


def stages_of(bits: str, way: str) -> list[tuple[str, ...]]:
    """The bits of convolutions 1 to 6 in every stage of training that quantizes."""
    goal = GRADED if bits == "graded" else (bits,) * 6
    if way == "steps":
        return [(between,) * 6 for between in ("w8a8", "w4a4", "w2a2")] + [goal]
    if way == "layers":
        return [(*goal[:n], *("fp32",) * (6 - n)) for n in range(1, 7)]
    return [goal]


@torch.no_grad()
def quantized(
    model: WordModel, bits: tuple[str, ...], words: Words, *, is_signed: bool = False
) -> WordModel:
    """Convolutions 1 to 6 in `bits`, with the weights and shifts of `model`, quantized or not."""
    twin = WordModel(model.config, words.n_words)
    state = {n: t for n, t in model.state_dict().items() if "_quantizer." not in n}
    twin.load_state_dict(state)
    names = [f"front_end.convs.{i}" for i in range(1, 7)]
    convert(twin, {n: Precision.parse(b) for n, b in zip(names, bits, strict=True)})
    if is_signed:
        for conv in twin.front_end.convs[1:]:
            conv.input_activation, conv.input_quantizer.number_set = "gelu", "signed"
    learned = quantizers_of(model)
    for name, quantizer in quantizers_of(twin).items():
        if name in learned:
            quantizer.shift.copy_(learned[name].shift)
    calibrate(twin, [next(words.batches(1, 0))[0]], keep_shifts_of=learned)
    return twin.train()


def trained(variant: str, words: Words, n_steps: int, seed: int) -> WordModel:
    bits, *changes = variant.split()
    torch.manual_seed(seed)
    config = FrontEndConfig(
        n_channels=N_CHANNELS,
        norm="batch" if "batch" in changes else "channel",
        shortcut="shortcut" in changes,
        conv_bias="bias" in changes,
    )
    model = WordModel(config, words.n_words)
    way = next((change for change in changes if change in HALFWAY), "scratch")
    teacher = None
    if way == "scratch":
        stages = [()] if bits == "fp32" else stages_of(bits, way)
    else:
        n_steps //= 2
        train(model, words, n_steps, seed)
        stages = stages_of(bits, way)
        teacher = None if way == "float" else model.eval()
    for i, stage in enumerate(stages):
        if stage:
            model = quantized(model, stage, words, is_signed="signed" in changes)
        train(model, words, n_steps // len(stages), seed + i, teacher)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=720)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as folder:
        words = words_of(options.corpus, Path(folder))
    lines = [f"{len(words.train)} clips to train on, {len(words.test)} to test"]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "corpus": Path(options.corpus).name,
        "steps": options.steps,
        "seeds": options.seeds,
        "commonest_word": commonest_share(words),
    }
    rows = rows_so_far(options.json, result)
    for variant in options.variants:
        if variant not in rows:
            rows[variant] = [
                accuracy(trained(variant, words, options.steps, seed), words)
                for seed in options.seeds
            ]
            check(variant, rows[variant], result["commonest_word"])
        each = ", ".join(f"{100 * a:.1f}" for a in rows[variant])
        lines.append(f"{variant:<36} {100 * statistics.mean(rows[variant]):5.1f} % ({each})")
        print(lines[-1], flush=True)
        listed = [{"variant": name, "accuracies": found} for name, found in rows.items()]
        if options.json is not None and str(options.json) != "-":
            write_json(options.json, result | {"rows": listed})
    show(result | {"rows": listed}, lines, options.json)


def rows_so_far(path: Path | None, result: dict[str, Any]) -> dict[str, list[float]]:
    """The rows of a file that the same corpus, steps and seeds gave."""
    if path is None or not path.is_file():
        return {}
    found = json.loads(path.read_text())
    for key in ("corpus", "steps", "seeds"):
        if found[key] != result[key]:
            raise SystemExit(f"{path}: {key}={found[key]}, here {result[key]}; give another --json")
    return {row["variant"]: row["accuracies"] for row in found["rows"]}


def check(variant: str, accuracies: list[float], commonest: float) -> None:
    """A float front end that learns nothing makes the whole table worthless."""
    if variant.startswith("fp32") and statistics.mean(accuracies) <= commonest:
        raise SystemExit(
            f"{variant}: {accuracies}, where the commonest word is {commonest:.3f} of the clips: "
            "nothing was learned in full precision; train for more --steps"
        )


if __name__ == "__main__":
    main()
