"""The house rules that a reader may rely on, held by looking at every file's syntax tree."""

import ast
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


def test_models_import_nothing_of_perception_nodes():
    assert importers(("models",), "perception_nodes") == []


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
