"""Options that several verbs share, and words that several of their texts do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS

PRESETS_ARE = f"Presets: {', '.join(PRESETS)}."
PLANS_ARE = f"Plans: {', '.join(PLANS)}; or a .json or .yaml file of your own."
NO_DEFAULT = ""
"""In the place of `(default: None)`, where the text says what happens without the option."""

Model = Annotated[
    Positional[str],
    arg(
        metavar="MODEL",
        help="A folder or model file that earbit trained; or a preset, which has random weights. "
        f"{PRESETS_ARE}",
    ),
]
Corpus = Annotated[
    str,
    arg(
        metavar="CORPUS",
        help="'synthetic', or a folder of audio, which `earbit prepare` looks over "
        "(docs/corpus.md).",
    ),
]
Json = Annotated[
    Path | None,
    arg(
        metavar="FILE",
        help="Write the result as JSON to this file too; - is standard output, and JSON alone.",
        help_behavior_hint=NO_DEFAULT,
    ),
]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]
PresetSettings = Annotated[
    Settings,
    arg(
        metavar="KEY=VALUE ...",
        help="Changes the shape of a preset, as encoder.n_layers=3 encoder.pattern=strided.",
    ),
]
Seed = Annotated[int, arg(metavar="N", help="Seed of everything random.")]


def flat(settings: tuple[tuple[str, ...], ...]) -> list[str]:
    """What several --set say, one after the other."""
    return [one for group in settings for one in group]
