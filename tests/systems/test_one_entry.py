"""One system, one entry: no file outside a system's own declaration names a system or its topics."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from perception_nodes.systems import SYSTEMS

PACKAGE = Path(__file__).resolve().parents[2] / "perception_nodes"

# Files that may name a system, by what they are. A pattern holds for every system; {name} is its name.
DECLARATIONS = ("systems/{name}.py", "systems/{name}/*.py", "nodes/{name}_node.py", "systems/__init__.py")
PARTS = {  # messages, scorers, pictures and panels that belong to one system alone
    "spvcnn": (
        "evaluation/recorded.py",
        "evaluation/recorded_segmentation.py",
        "evaluation/segmentation*.py",
    ),
    "bevfusion": (
        "evaluation/detection3d*.py",
        "evaluation/recorded_detections3d.py",
        "evaluation/map_report.py",
        "evaluation/recorded_map.py",
        "evaluation/scene.py",  # pictures of moments with its boxes; systems/evaluate.py draws them
    ),
    "gan": ("commands/robustness.py", "commands/style*.py"),
    "tsm": (
        "evaluation/recorded_events.py",
        "evaluation/recorded_detections2d.py",
        "evaluation/events*.py",
        "evaluation/detection2d.py",
        "messages/events.py",
        "viewer/event_log.py",
        "viewer/event_pictures.py",
        "viewer/video_pictures.py",
    ),
}
# Files that name families of networks (of `models/`), not systems: conversion and export of weights.
NETWORKS = ("commands/weights.py", "commands/export.py", "commands/doctor.py", "cli.py")


@cache
def words(path):
    """Every name, import and text of a file, docstrings included: (line, text)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((line, node.value))
        elif isinstance(node, ast.Name):
            found.append((line, node.id))
        elif isinstance(node, ast.Attribute):
            found.append((line, node.attr))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append((line, node.name))
        elif isinstance(node, ast.ImportFrom):
            found += [(line, node.module or ""), *((line, alias.name) for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [(line, alias.name) for alias in node.names]
    return found


def allowed(path, system):
    own = [pattern.format(name=system.name) for pattern in DECLARATIONS] + list(PARTS.get(system.name, ()))
    return any(path.relative_to(PACKAGE).match(pattern) for pattern in own)


def mentions(text, system):
    """What of a text names a system: its name as a word or a part of a name, or one of its topics."""
    topics = [topic for output in system.outputs for topic in output.topics]
    name = system.name
    named = re.search(rf"(?<![a-zA-Z]){name}(?![a-z])|(?:{name.capitalize()}|{name.upper()})(?![a-z])", text)
    return ([named.group(0)] if named else []) + [t for t in topics if re.search(re.escape(t) + r"(?!\w)", text)]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_no_file_outside_a_systems_declaration_names_it_or_its_topics(system):
    offences = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if allowed(path, system):
            continue
        networks = str(path.relative_to(PACKAGE)) in NETWORKS
        for line, text in words(path):
            found = mentions(text, system)
            if networks:  # the word may be the family's; node and topics may not be named
                found = [word for word in (*found, system.node_name) if word in text and ("/" in word or "_" in word)]
            offences += [f"{path.relative_to(PACKAGE)}:{line} names {word}" for word in found]
    assert offences == []


def test_the_rule_finds_what_it_looks_for(tmp_path):
    file = tmp_path / "other.py"
    topic = SYSTEMS[0].answer.topic
    name = SYSTEMS[0].name
    file.write_text(f'"""Of {name}."""\nTOPIC = "{topic}"\nfrom perception_nodes.systems import {name}\n')
    found = [word for _, text in words(file) for word in mentions(text, SYSTEMS[0])]
    assert len(found) == 3 and topic in found
    assert mentions(f"{SYSTEMS[0].name.capitalize()}Config", SYSTEMS[0])
    assert mentions("segmentation of awesome things", SYSTEMS[0]) == []
