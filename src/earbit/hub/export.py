"""`earbit export --format`: folders for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from earbit.extras import imported
from earbit.hub.out_folder import ONNX, require_export_folder
from earbit.model_names import MODEL_FILE_NAME
from earbit.terminal import printable


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its function, which is imported when it is needed."""

    packages: tuple[str, ...]
    """Required packages; the extra has the name of the format."""
    weights: str
    """File or folder of the weights in the output folder."""
    module: str
    function: str


FORMATS = {
    "hf": Format(("transformers",), MODEL_FILE_NAME, "earbit.hub.hf.export", "export_hf"),
    "onnx": Format(("onnx", "onnxruntime"), ONNX, "earbit.hub.onnx.export", "export_onnx"),
}


def export_to_format(
    name: str,
    where: str,
    out: Path,
    *,
    plan: str | None,
    seed: int,
    head: Path | None,
    settings: Sequence[str],
    corpus: str | None,
) -> dict[str, Any]:
    """Writes a model in another format; raises UnsupportedError if its extra is not installed."""
    chosen = FORMATS[name]
    require_export_folder(out, chosen.weights)
    for package in chosen.packages:
        imported(package, name, f"--format {name}")
    export: Callable[..., dict[str, Any]] = getattr(import_module(chosen.module), chosen.function)
    return export(where, out, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus)


def rendered(result: Mapping[str, Any]) -> str:
    """Short text of the result, for a terminal."""
    because = f" (not HuBERT's class: {result['because']})" if result.get("because") else ""
    agreement = result["agreement"]
    cosine = f"output cosine {agreement['cosine']:.6f}, " if "cosine" in agreement else ""
    largest = max(value for name, value in agreement.items() if name != "cosine")
    return (
        f"{printable(result['folder'])}: {result['class']}{because}, {result['bytes'] / 1e6:.2f} "
        f"MB; against PyTorch: {cosine}largest difference {largest:.2g}"
    )
