"""No two files import each other, directly or through others; an import inside a function counts as one."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("perception_nodes", "models", "training", "benchmarks")

def modules(root, folders):
    """Module name -> file; a package is named without __init__."""
    files = [p for f in folders for p in (root / f).rglob("*.py")]
    names = [".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for p in files]
    return dict(zip(names, files))


@cache
def tree_of(path):
    return ast.parse(path.read_text())


def imported(name, path, known, types):
    """Modules of `known` that a file imports; types: also those that only annotations need."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    left = [tree_of(path)]
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types:
            left += node.orelse
            continue
        left += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= inner & set(known)
            if not inner <= set(known):  # a name of the module itself
                found.add(base)
    return (found & set(known)) - {name}


def circles(graph):
    """Sets of modules that reach each other, each sorted (Tarjan's strongly connected components of two or more)."""
    number, low, stack, found = {}, {}, [], []

    def visit(v):
        number[v] = low[v] = len(number)
        stack.append(v)
        for w in sorted(graph[v]):
            if w not in number:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], number[w])
        if low[v] == number[v]:
            at = stack.index(v)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for v in sorted(graph):
        if v not in number:
            visit(v)
    return found


def graph_of(root, folders, types):
    known = modules(root, folders)
    return {name: imported(name, path, known, types) for name, path in known.items()}


def test_no_two_files_import_each_other():
    assert circles(graph_of(ROOT, FOLDERS, types=False)) == []


def test_no_two_files_need_each_other_for_annotations():
    assert circles(graph_of(ROOT, FOLDERS, types=True)) == []


def test_circles_are_found_at_the_top_in_functions_and_by_relative_imports(tmp_path):
    files = {
        "a/__init__.py": "", "a/one.py": "from .two import x", "a/two.py": "def f():\n    from a import one",
        "a/three.py": "import a.four", "a/four.py": "from a.five import y", "a/five.py": "from a import three",
        "a/six.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.seven import Z",
        "a/seven.py": "from a.six import z\nfrom a.one import x",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    hard = [["a.five", "a.four", "a.three"], ["a.one", "a.two"]]
    assert sorted(circles(graph_of(tmp_path, ["a"], types=False))) == hard
    assert sorted(circles(graph_of(tmp_path, ["a"], types=True))) == [*hard, ["a.seven", "a.six"]]
