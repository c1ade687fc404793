"""Training configs: frozen dataclasses, and YAML files over their defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from models.facts import ModelError
from models.yaml_file import YamlError, parse_yaml, read_yaml

Config = TypeVar("Config")


def load_yaml_config(config: Config, path: str | Path | None) -> Config:
    """`config`, a dataclass, with the values of a YAML file; None: as it is. ModelError says of a file that it is not
    readable, and names unknown keys."""
    if path is None:
        return config
    try:
        found = read_yaml(path) or {}
    except (OSError, YamlError) as error:
        raise ModelError(f"{path} cannot be read as a config ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds a {type(found).__name__}, expected keys and values")
    return merged(config, found, str(path))


def merged(config: Any, found: dict[str, Any], where: str) -> Any:
    """`config` with the values of `found`; lists become tuples."""
    unknown = sorted(set(map(str, found)) - set(config.__dataclass_fields__))
    if unknown:
        known = ", ".join(config.__dataclass_fields__)
        raise ModelError(f"{where} has unknown keys {', '.join(unknown)}; known: {known}")
    values = {}
    for key, value in found.items():
        if isinstance(value, dict):
            values[key] = merged(getattr(config, key), value, f"{where}: {key}")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return replace(config, **values)


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """`config` with settings of the command line over it, each `key=value` or `part.key=value` (the value in YAML)."""
    for text in settings:
        key, _, value = text.partition("=")
        try:
            found: Any = parse_yaml(value)
        except YamlError as error:
            raise ModelError(f"--set {text} cannot be read ({error}); type KEY=VALUE") from None
        for part in reversed(key.split(".")):
            found = {part: found}
        config = merged(config, found, "--set")
    return config
