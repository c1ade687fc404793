"""The house rules that a reader may rely on, held by looking at every file's syntax tree."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("perception_nodes", "models", "training", "benchmarks", "launch", "scripts", "tests")


def sources(*folders):
    return [p for f in folders for p in sorted((ROOT / f).rglob("*.py"))]


@cache
def imports(path):
    """Every module that a file imports, wherever the import stands."""
    return tuple(_imports(path))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "perception_nodes":  # its rooms are names of it
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def importers(folders, module):
    return [
        str(p.relative_to(ROOT))
        for p in sources(*folders)
        if any(name == module or name.startswith(module + ".") for name in imports(p))
    ]


def test_only_the_nodes_import_rclpy():
    found = importers(("perception_nodes", "models", "training"), "rclpy")
    assert found and all(f.startswith("perception_nodes/nodes/") for f in found), found


def test_only_the_viewer_imports_rerun():
    found = importers(("perception_nodes", "models", "training", "benchmarks"), "rerun")
    assert all(f.startswith("perception_nodes/viewer/") for f in found), found


def arrows():
    """Room -> rooms that it may import (None: any), by the table of docs/architecture.md; and those that all may."""
    table = (ROOT / "docs" / "architecture.md").read_text().split("| may import |")[1].split("\n\n")[0]
    found, everybody = {}, set()
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rooms = [name.strip("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", cells[0])]
        allowed = [re.sub(r"\(.*?\)", "", part).strip() for part in cells[-1].split(",")]
        if "(any room may import it)" in cells[1]:
            everybody |= set(rooms)
        inside = {name if name in TOP else f"perception_nodes/{name}" for name in allowed if name != "–"}
        found |= dict.fromkeys(rooms, None if "everything" in allowed else inside)
    return found, everybody


TOP = ("models", "training", "benchmarks")


def room_of(module):
    """Room of a module or file by its dotted name: a folder of perception_nodes, or a top folder."""
    parts = module.split(".")
    return "/".join(parts[:2]) if parts[0] == "perception_nodes" else parts[0]


def test_every_arrow_between_rooms_is_in_the_architectures_table():
    allowed, everybody = arrows()
    rooms = set(allowed) | everybody
    offences, unknown = [], set()
    for path in sources("perception_nodes", "models", "training", "benchmarks"):
        here = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if here == "perception_nodes/__init__":
            continue
        if here not in rooms:
            unknown.add(here)
            continue
        may = allowed[here]
        for name in imports(path):
            there = room_of(name)
            if name.split(".")[0] not in ("perception_nodes", *TOP) or there in ("perception_nodes", here):
                continue
            if may is not None and there not in may and there not in everybody:
                offences.append(f"{path.relative_to(ROOT)} imports {name}")
    assert unknown == set(), "rooms that the table of docs/architecture.md does not have"
    assert offences == [], "imports that the table of docs/architecture.md does not allow"


@pytest.mark.parametrize("module", ["pickle", "cPickle", "dill", "shelve", "marshal", "joblib"])
def test_no_pickle_is_ever_loaded(module):
    folders = tuple(p for p in PACKAGES if p != "tests")
    assert importers(folders, module) == []


def test_no_eval_exec_or_unsafe_yaml_and_torch_load_only_with_weights_only():
    offences = []
    for path in sources(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            unsafe = name in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load")
            unsafe |= name == "torch.load" and keywords.get("weights_only") != "True"
            unsafe |= name in ("np.load", "numpy.load") and keywords.get("allow_pickle") == "True"
            if unsafe:
                offences.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert offences == []


def test_no_shared_data_is_part_of_the_repository():
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    assert not [t for t in tracked if t.startswith(("shared/", "../")) or t.endswith((".pkl", ".pth", ".pt", ".ckpt"))]
    large = [t for t in tracked if (ROOT / t).is_file() and (ROOT / t).stat().st_size > 20e6]
    assert large == []
