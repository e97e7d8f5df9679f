"""Frozen dataclasses to and from JSON or YAML, strictly.

Every configuration in earbit is a frozen dataclass.  A member of a union is written with a `type`
key, which is its class name without `Config`: `{"type": "sparseformer", "n_layers": 16, ...}`.
Unknown keys, missing keys and values of the wrong type are errors that name the place.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from earbit.config_file import read
from earbit.errors import ConfigError, shown
from earbit.files import write_json

T = TypeVar("T")
LATER = {"later": True}
"""Metadata of a field that a later version added; digests do not change by its default value."""
NEAR = 0.5
"""Similarity of a mistyped name to the one that is meant, of 1."""


def type_name(config_class: type) -> str:
    """The value of the key `type` for a class: `sparseformer` for `SparseformerConfig`."""
    return config_class.__name__.removesuffix("Config").lower()


def to_dict(config: Any, *, without_later: bool = False) -> Any:
    """Converts a configuration to plain JSON values; the inverse of `from_dict`.

    without_later: leaves out fields marked as `LATER` that have their default value.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        values = {
            f.name: to_dict(getattr(config, f.name), without_later=without_later)
            for f in dataclasses.fields(config)
            if not (without_later and "later" in f.metadata) or getattr(config, f.name) != f.default
        }
        return {"type": type_name(type(config)), **values}
    if isinstance(config, (tuple, list)):
        return [to_dict(item) for item in config]
    if isinstance(config, Mapping):
        return {str(key): to_dict(value) for key, value in config.items()}
    if isinstance(config, Path):
        return str(config)
    return config


def from_dict(config_type: type[T] | Any, value: Any, where: str = "config") -> T:
    """Builds `config_type` from plain values.

    Raises ConfigError, naming the place (`where`), for an unknown or missing key and a wrong type.
    """
    return typing.cast(T, _parse(config_type, value, where))


def load(config_type: type[T], path: str | Path) -> T:
    """Reads a configuration file (.json, .yaml, .yml); raises ConfigError if it is invalid."""
    return from_dict(config_type, read(path), where=str(path))


def save(config: Any, path: str | Path) -> None:
    """Writes a configuration as JSON atomically; raises DataError on failure."""
    write_json(Path(path), to_dict(config))


def override(config: T, settings: Sequence[str]) -> T:
    """Applies settings `a.b=value` of `--set`; values are parsed as JSON, else taken as text.

    Raises ConfigError for an unknown path or a value of the wrong type.
    """
    tree = to_dict(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"setting {shown(setting)} has no '='; write it as a.b=value")
        *parents, last = path.strip().split(".")
        node = tree
        for name in (*parents, last):
            if not isinstance(node, dict) or name not in node:
                allowed = [k for k in node if k != "type"] if isinstance(node, dict) else []
                unknown = _unknown_key(name, allowed)
                is_near = difflib.get_close_matches(name, allowed, cutoff=NEAR)
                resembling = [] if is_near else _resembling(last, tree)
                if elsewhere := _ending_in(path.strip(), tree) or resembling:
                    unknown = f"unknown key {shown(name)}; did you mean {' or '.join(elsewhere)}?"
                raise ConfigError(f"setting {shown(path)}: {unknown}")
            if name is not last:
                node = node[name]
        node[last] = value_of(text)
    return from_dict(type(config), tree)


def value_of(text: str) -> Any:
    """The value of a setting: JSON, else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def settings_of(values: Mapping[str, Any]) -> list[str]:
    """Settings of `override` with exactly these values; those that are None are left out.

    A text stays a text even if it is JSON, like a folder with the name 2024.
    """
    return [f"{path}={json.dumps(v)}" for path, v in values.items() if v is not None]


def _ending_in(path: str, tree: Mapping[str, Any]) -> list[str]:
    """Paths of a tree, at most 3, that end in `path`, else in its last component."""
    paths = list(_paths(tree))
    ends = (path, path.rpartition(".")[2])
    found = ([p for p in paths if f".{p}".endswith(f".{end}")] for end in ends)
    return next(filter(None, found), [])[:3]


def _resembling(name: str, tree: Mapping[str, Any]) -> list[str]:
    """Paths of a tree, at most 3, whose last component resembles a name."""
    paths = list(_paths(tree))
    near = difflib.get_close_matches(name, {p.rpartition(".")[2] for p in paths}, n=1, cutoff=0.7)
    return [p for p in paths if p.rpartition(".")[2] in near][:3]


def _paths(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if key != "type":
            yield f"{prefix}{key}"
            if isinstance(value, Mapping):
                yield from _paths(value, f"{prefix}{key}.")


def _parse(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(get_args(kind), value, where)
    if origin is typing.Literal:
        if value not in get_args(kind):
            allowed = ", ".join(map(repr, get_args(kind)))
            raise ConfigError(f"{where}: {shown(value)}; allowed: {allowed}")
        return value
    if origin is tuple:
        return _parse_tuple(get_args(kind), value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {shown(value)}; allowed: a mapping")
        item_type = get_args(kind)[1]
        return {key: _parse(item_type, item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(typing.cast(type, kind), value, where)
    if kind is float and type(value) in (int, float):
        # Compared without conversion: an integer may be too large for a float.
        if not abs(value) <= sys.float_info.max:
            raise ConfigError(f"{where}: {shown(value)}; allowed: a finite number")
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is type(None) and value is None:
        return None
    # bool is a subclass of int, but not a count.
    is_bool_for_int = kind is int and isinstance(value, bool)
    if not isinstance(kind, type) or not isinstance(value, kind) or is_bool_for_int:
        raise ConfigError(f"{where}: {shown(value)}; allowed: {_described(kind)}")
    return value


def _described(kind: Any) -> str:
    """A type in a message."""
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a path",
        type(None): "null",
    }
    if get_origin(kind) is tuple:
        return "a list"
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def _parse_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    classes = {
        type_name(m): m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m)
    }
    if isinstance(value, str) and value in classes:
        # A name alone selects that type with its defaults.
        value = {"type": value}
    if isinstance(value, Mapping) and classes:
        if "type" not in value:
            raise ConfigError(f'{where}: "type" missing; allowed: {", ".join(classes)}')
        name = value["type"]
        if name not in classes:
            raise ConfigError(f"{where}.type: {_unknown_key(str(name), list(classes), 'type')}")
        return _parse(classes[name], value, where)
    for member in members:
        if member is type(None):
            continue
        try:
            return _parse(member, value, where)
        except ConfigError:
            continue
    if classes:
        name = next(iter(classes))
        raise ConfigError(
            f"{where}: {shown(value)}; allowed: {', '.join(classes)}, or with fields, as in "
            f'{{"type": "{name}", ...}}'
        )
    allowed = " or ".join(map(_described, members))
    raise ConfigError(f"{where}: {shown(value)}; allowed: {allowed}")


def _parse_tuple(item_types: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: {shown(value)}; allowed: a list")
    if len(item_types) == 2 and item_types[1] is Ellipsis:
        item_types = (item_types[0],) * len(value)
    if len(item_types) != len(value):
        raise ConfigError(f"{where}: {len(value)} items, expected {len(item_types)}")
    pairs = zip(item_types, value, strict=True)
    return tuple(_parse(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(pairs))


def _parse_dataclass(kind: type, value: Any, where: str) -> Any:
    if value == type_name(kind):
        value = {}  # as in a union: the name alone is the class with its defaults
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where}: {shown(value)}; allowed: a mapping with the fields of {kind.__name__}"
        )
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    given = {key: item for key, item in value.items() if key != "type"}
    if value.get("type", type_name(kind)) != type_name(kind):
        raise ConfigError(f"{where}.type: {shown(value['type'])}, expected {type_name(kind)!r}")
    for key in given:
        if key not in fields:
            raise ConfigError(f"{where}: {_unknown_key(str(key), list(fields))}")
    missing = [
        name
        for name, field in fields.items()
        if name not in given
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing; {kind.__name__} needs it")
    for key, item in given.items():
        # A mapping without `type` changes fields of the default.
        default = fields[key].default
        if isinstance(item, Mapping) and "type" not in item and dataclasses.is_dataclass(default):
            given[key] = {"type": type_name(type(default)), **item}
    parsed = {key: _parse(hints[key], item, f"{where}.{key}") for key, item in given.items()}
    try:
        return kind(**parsed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _unknown_key(name: str, allowed: list[str], noun: str = "key") -> str:
    return f"unknown {noun} {shown(name)}{suggest(name, allowed)}"


def suggest(name: str, allowed: Sequence[str]) -> str:
    """End of an error about an unknown name: similar names, else all allowed names."""
    near = difflib.get_close_matches(name, allowed, n=3, cutoff=NEAR)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; allowed: {', '.join(allowed) or 'nothing here'}"
