"""YAML files of foreign origin, read within limits: size, depth, repeated parts, numbers.

PyYAML sets no limits: 300 bytes of aliases that repeat each other stand for gigabytes, and a plain `2026-01-01`
becomes a date where a text was meant. Every configuration file of the project is read here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 256 << 10  # the largest of our own files has 3 kB
MAX_DEPTH = 40
MAX_NODES = 20_000  # keys, values, lists and tables, each alias counted with all that it stands for


_EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast where it is there


class YamlError(ValueError):
    """A file that cannot be read as YAML; one sentence without the file's name."""


class _Loader(yaml.SafeLoader):
    """SafeLoader for plain data: dates stay texts, keys are unique, whole numbers have at most 64 bits."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise YamlError(f"the key {key.value!r} stands twice in one table (line {key.start_mark.line + 1})")
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _whole_number(loader: _Loader, node: Any) -> int:
    text = loader.construct_scalar(node)
    too_long = YamlError(f"the number {str(text)[:20]}… in line {node.start_mark.line + 1} has more than 64 bits")
    if len(text) > 80:
        raise too_long
    value = loader.construct_yaml_int(node)
    if not -(1 << 63) <= value < 1 << 64:
        raise too_long
    return value


def _text(loader: _Loader, node: Any) -> str:
    value = str(loader.construct_scalar(node))
    if any("\ud800" <= c <= "\udfff" for c in value):  # half a UTF-16 pair: no file, window or message can hold it
        raise YamlError(f"the text in line {node.start_mark.line + 1} holds half a surrogate pair")
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.yaml_implicit_resolvers = {  # own copy: the base class's table stays as it is
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: str | Path) -> Any:
    """Content of a YAML file: tables, lists, texts, numbers, booleans and None. An empty file is None.

    Raises:
        YamlError: the file is larger than `MAX_BYTES`, not UTF-8, not YAML, nested deeper than `MAX_DEPTH`, or stands
            for more than `MAX_NODES` nodes.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise YamlError(f"it is larger than {MAX_BYTES >> 10} kB, the most that is read of a configuration file")
    return parse_yaml(data)


def parse_yaml(data: bytes | str) -> Any:
    """`read_yaml` of a file's bytes."""
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise YamlError(f"it is not UTF-8 text (byte {error.start} is 0x{error.object[error.start]:02x})") from None
    try:
        check_yaml(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise YamlError(f"it is not valid YAML: {' '.join(str(error).split())[:300] or type(error).__name__}") from None


def check_yaml(text: str, max_nodes: int = MAX_NODES) -> None:
    """Raises YamlError for a document that is nested too deeply or stands for too much; yaml.YAMLError for no YAML.

    The event parser neither recurses nor builds anything; an alias counts as much as what it stands for.
    """
    open_sizes: list[float] = [0.0]
    open_names: list[str | None] = [None]
    anchors: dict[str, float] = {}
    for event in yaml.parse(text, Loader=_EVENTS):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_sizes) > MAX_DEPTH:
                raise YamlError(f"it is nested deeper than {MAX_DEPTH} levels")
            open_sizes.append(1.0)
            open_names.append(event.anchor)
            if event.anchor:
                anchors[event.anchor] = math.inf  # a node inside itself has no end
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = open_sizes.pop(), open_names.pop()
            open_sizes[-1] += size
            if name:
                anchors[name] = size
        elif isinstance(event, yaml.AliasEvent):
            open_sizes[-1] += anchors.get(event.anchor or "", 1.0)
        elif isinstance(event, yaml.ScalarEvent):
            open_sizes[-1] += 1.0
            if event.anchor:
                anchors[event.anchor] = 1.0
        if open_sizes[-1] > max_nodes:
            raise YamlError(f"it stands for more than {max_nodes} values (aliases count as what they stand for)")
