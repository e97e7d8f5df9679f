"""Options and help texts shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from earbit.cli.arguments import Option, Positional
from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS

PRESETS_ARE = f"Presets: {', '.join(PRESETS)}."
PLANS_ARE = f"Plans: {', '.join(PLANS)}, or your own .json or .yaml file."

Model = Annotated[
    str,
    Positional(
        "MODEL",
        "A model folder or file of earbit (trained or imported), or a preset (random weights from "
        "--seed). "
        f"{PRESETS_ARE}",
    ),
]
Corpus = Annotated[
    str,
    Option(
        "CORPUS",
        "'synthetic', or a folder of audio. `earbit prepare` checks a folder (docs/corpus.md).",
    ),
]
Json = Annotated[
    Path | None,
    Option("FILE", "Also write the result as JSON to this file. With -, print only the JSON."),
]
Settings = Annotated[
    tuple[str, ...],
    Option(
        "KEY=VALUE",
        "Change fields of the configuration, as saved in OUT/config.json. Can be repeated.",
    ),
]
PresetSettings = Annotated[
    tuple[str, ...],
    Option(
        "KEY=VALUE",
        "Change the configuration of a preset, for example encoder.n_layers=3 encoder.d_ffn=512. "
        "Can be repeated.",
    ),
]
Cache = Annotated[
    Literal["fp32", "fp16", "none"],
    Option(
        "fp32|fp16|none",
        "Precision of the features on disk, which are removed when the score is written. Default: "
        "fp32. none takes no disk and computes the features of every batch anew.",
    ),
]
Lm = Annotated[
    Path | None,
    Option("FILE.arpa", "Also decode speech recognition with this n-gram, by beam search."),
]
Beam = Annotated[
    int | None, Option("N", "Texts that the beam search with --lm keeps. Default: 20.")
]
LmWeights = Annotated[
    tuple[float, ...],
    Option(
        "X",
        "Weight of --lm, and score of each word. Default: the validation clips select both.",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Option("auto|cpu|cuda", "Device. auto takes a GPU if PyTorch sees one."),
]
Resplit = Annotated[
    bool, Option("", "Ignore the `split` labels of the corpus and draw new splits.")
]
Seed = Annotated[int, Option("N", "Seed of the random numbers.")]
SAME_MEANING = (
    ("--corpus", "--data", "--root", "CORPUS", "corpus"),
    ("--model", "--models", "--encoders", "--preset", "MODEL", "RECIPE", "WHAT", "PROGRAM"),
    ("--n-steps", "--steps", "train.optimiser.n_steps"),
    ("--lrs", "--lr", "train.optimiser.peak_lr"),
)
"""Options, positional arguments and fields of `--set` that mean the same in different commands.

An unknown option is answered with the one that the command has.
"""
TrainDevice = Annotated[
    str | None, Option("auto|cpu|cuda", "Device. Short for --set train.machine.device=.")
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16"] | None,
    Option("fp32|bf16|fp16", "Precision of products. Short for --set train.precision=."),
]
