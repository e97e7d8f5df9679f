"""Top level, settings and weights of PyTorch checkpoints, which their importers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from earbit.errors import EarbitError, FormatError
from earbit.hub.fit import fit
from earbit.hub.heads import ImportedHead
from earbit.hub.hugging_face_weights import digest, state_dict
from earbit.hub.importer import Imported
from earbit.hub.pickle_values import Record, TensorRecord
from earbit.hub.stored_tensors import Stored
from earbit.hub.tensor_names import from_fairseq, our_name
from earbit.hub.torch_file import TorchFile, is_torch_file, open_torch_file
from earbit.model import ModelConfig

Settings = Mapping[str, Any]


def top_level(path: Path) -> dict[Any, Any]:
    """The dictionary at the top of a checkpoint; empty for all other files, without errors."""
    if not path.is_file() or not is_torch_file(path):
        return {}
    try:
        root = open_torch_file(path).root
    except EarbitError:
        return {}
    return root if isinstance(root, dict) else {}


def fields(value: Any) -> dict[str, Any]:
    """Fields of a dictionary, argparse.Namespace or omegaconf.DictConfig; empty for others."""
    if isinstance(value, Record):
        state = value.state if isinstance(value.state, dict) else {}
        value = state["_content"] if isinstance(state.get("_content"), dict) else state
    if not isinstance(value, dict):
        return {}
    return {str(name): _plain(item) for name, item in value.items()}


def _plain(value: Any) -> Any:
    """The value of a node of omegaconf and of a member of an enumeration; others as they are."""
    if isinstance(value, Record) and isinstance(value.state, dict) and "_val" in value.state:
        value = value.state["_val"]
    if isinstance(value, Record) and value.state is None and len(value.arguments) == 1:
        value = value.arguments[0]
    return value


def first_set(places: Iterable[Settings], name: str, default: Any) -> Any:
    """The first value of a field that is there and not None."""
    return next((s[name] for s in places if s.get(name) is not None), default)


def has_tensors(value: Any, *names: str) -> bool:
    """Whether a dictionary holds tensors with these names."""
    return isinstance(value, dict) and all(isinstance(value.get(n), TensorRecord) for n in names)


def weights_of(path: Path, values: Any, prefix: str = "") -> tuple[TorchFile, Stored, Stored]:
    """The checkpoint, its tensors with a prefix, which is dropped, and all other tensors."""
    file = open_torch_file(path)
    stored = state_dict(file, values)
    with_prefix = {n.removeprefix(prefix): t for n, t in stored.items() if n.startswith(prefix)}
    if not with_prefix:
        raise FormatError(f"{path}: no tensors; give the checkpoint of a model")
    return file, with_prefix, {n: t for n, t in stored.items() if not n.startswith(prefix)}


def fairseq_names(stored: Stored) -> Stored:
    """Tensors with names of fairseq, with ours."""
    has_batch_norm = "encoder.pos_conv.0.running_mean" in stored
    return {
        our_name(from_fairseq(name, has_batch_norm=has_batch_norm)): tensor
        for name, tensor in stored.items()
    }


def imported(
    path: Path,
    title: str,
    config: ModelConfig,
    named: Stored,
    heads: Iterable[str] = (),
    *,
    states: str,
    assumed: tuple[str, ...] = (),
    head: ImportedHead | None = None,
) -> Imported:
    """The model of a checkpoint from tensors with our names; heads: names of other tensors."""
    fitted = fit(path, named, config)
    origin = {"stage": "import", "source": title, "sha256": digest([path]), "name": path.name}
    ignored = (*fitted.ignored, *heads)
    return Imported(
        config,
        fitted.tensors,
        origin,
        states=states,
        ignored=ignored,
        assumed=assumed,
        head=head,
    )
