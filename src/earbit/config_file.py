"""Reads plain values of JSON and YAML files, strictly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, shown

_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


def read(path: str | Path) -> Any:
    """Reads the plain values of a `.json`, `.yaml` or `.yml` file.

    Raises ConfigError for a missing, empty or damaged file and for a duplicate key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{path}: cannot be read ({reason}); give a .json or .yaml file"
        ) from error
    is_yaml = path.suffix in {".yaml", ".yml"}
    value = _from_yaml(text, str(path)) if is_yaml else _from_json(text, str(path))
    if value is None:
        raise ConfigError(f"{path}: empty; write keys and values")
    return value


def _from_json(text: str, where: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        there: dict[str, Any] = {}
        for key, value in pairs:
            if key in there:
                raise ConfigError(f"{where}: duplicate key {shown(key)}; leave one of them")
            there[key] = value
        return there

    try:
        return json.loads(text, object_pairs_hook=once) if text.strip() else None
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from error


def _from_yaml(text: str, where: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Also takes 1e-05, a number in JSON and YAML 1.2, for a number."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
    try:
        loader = Loader(text)
        tree = loader.get_single_node()
        _check_keys(tree, where)
        return None if tree is None else loader.construct_document(tree)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        if "alias" in f"{error.context} {error.problem}":
            reason = "a name that begins with * must be in quotes"
        else:
            reason = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{where}: not valid YAML: {line}{reason}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def _check_keys(node: Any, where: str) -> None:
    """Raises ConfigError for a duplicate key of a YAML mapping; YAML would keep the last."""
    if node is None or not isinstance(node.value, list):
        return  # an empty file, or a value
    pairs = [item for item in node.value if isinstance(item, tuple)]
    seen = set()
    for key, _ in pairs:
        if isinstance(key.value, str) and key.value in seen:
            line = key.start_mark.line + 1
            raise ConfigError(
                f"{where}: line {line}: duplicate key {shown(key.value)}; leave one of them"
            )
        seen.add(str(key.value))
    for child in [value for _, value in pairs] or node.value:
        _check_keys(child, where)
