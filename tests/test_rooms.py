"""The house: who may import whom, and how large its rooms may be."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TOWER = ("hw", "sw", "golden", "sim", "spikeloom")
"""From the ground up: each imports from itself and from what is before it."""

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for storey in TOWER
    for path in sorted((ROOT / storey).rglob("*.py"))
}


def imported(path: Path) -> set[str]:
    """Modules of the project that a file imports, anywhere in it, for types too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & SOURCES.keys()


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return {module: imported(path) - {module} for module, path in SOURCES.items()}


def test_imports_go_down(imports):
    storey = {module: TOWER.index(module.split(".")[0]) for module in SOURCES}
    upwards = [(module, name) for module, names in imports.items() for name in names if storey[name] > storey[module]]
    assert upwards == []


def test_no_modules_import_each_other(imports):
    TopologicalSorter(imports).prepare()  # CycleError names the circle


def test_no_name_is_of_two_classes():
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES.values())
    names = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_room_is_crowded():
    assert {folder: n for folder, n in Counter(path.parent for path in SOURCES.values()).items() if n > 16} == {}


def test_no_source_file_is_long():
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES.values()}
    assert {path: count for path, count in lines.items() if count > 330} == {}
