"""Training configs: frozen dataclasses, and YAML files over their defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from models.facts import ModelError

Config = TypeVar("Config")


def load_yaml_config(config: Config, path: str | Path | None) -> Config:
    """`config`, a dataclass, with the values of a YAML file; None: as it is. ModelError says of a file that it is not
    readable, and names unknown keys."""
    if path is None:
        return config
    try:
        found = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"{path} is no readable YAML file ({' '.join(str(error).split())})") from None
    return merged(config, found, str(path))


def merged(config: Any, found: dict[str, Any], where: str) -> Any:
    """`config` with the values of `found`; lists become tuples."""
    unknown = sorted(set(found) - set(config.__dataclass_fields__))
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
