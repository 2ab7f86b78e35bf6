"""No circles, one order of folders, no heaps, a sealed bench: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("datasets_spec", "cluster", "trainers", "search")
# From the ground up; folders of one line do not import each other.
ORDER = {
    "datasets_spec": [
        "errors atomic canonical nearest sample boxes",
        "storage",
        "spec_files images packs splits readers phantom",
        "catalog copies",
        "store",
        "prepare check",
    ],
    "trainers": ["recipe backbone_spec prompts phantom", "backbone", "trial", "rows", "scoring training", "executors"],
    "search": [
        "vocabulary seeds space statistics",
        "ledger strategies",
        "study",
        "engine evidence",
        "designs",
        "planning report",
        "results handover",
        "phases bench",
        "cli",
    ],
}
MOST_ROOMS = 18  # files and folders that lie directly in one folder
MOST_LINES = 350


def imported_by(source: str, modules: Set[str]) -> frozenset[str]:
    """The modules among `modules` that a source imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            found |= whole or ({node.module} & modules)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
    return frozenset(found)


@functools.cache
def import_graph() -> dict[str, frozenset[str]]:
    """Each of our modules with those of ours that it imports."""
    files = {
        path.relative_to(REPOSITORY).with_suffix("").as_posix().removesuffix("/__init__").replace("/", "."): path
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
    }
    return {name: imported_by(path.read_text(encoding="utf-8"), files.keys()) for name, path in files.items()}


def in_circles(graph: Mapping[str, Set[str]]) -> set[str]:
    """The modules that reach themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    return {name for name in graph if name in reached(name)}


def upward_imports(graph: Mapping[str, Set[str]]) -> list[str]:
    """Imports from a folder that stands on the same level of ORDER or above."""
    levels = {
        f"{package}.{room}": level
        for package, rows in ORDER.items()
        for level, row in enumerate(rows)
        for room in row.split()
    }
    found = []
    for name, targets in graph.items():
        mine = ".".join(name.split(".")[:2])
        for target in targets:
            theirs = ".".join(target.split(".")[:2])
            is_judged = mine != theirs and {mine, theirs} <= levels.keys()
            if is_judged and name.split(".")[0] == target.split(".")[0] and levels[theirs] >= levels[mine]:
                found.append(f"{name} imports {target}")
    return sorted(found)


def folders() -> list[Path]:
    found = [REPOSITORY / package for package in PACKAGES]
    found += [path for top in found for path in top.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    return found


def rooms(folder: Path) -> set[str]:
    """What lies directly in a folder: its modules and the packages in it."""
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
    return modules | {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}


def test_no_module_reaches_itself() -> None:
    assert not in_circles(import_graph())


def test_folders_import_downwards() -> None:
    assert not upward_imports(import_graph())


@pytest.mark.parametrize("package", ORDER)
def test_every_room_has_its_place_in_the_order(package: str) -> None:
    assert rooms(REPOSITORY / package) == {room for row in ORDER[package] for room in row.split()}


@pytest.mark.parametrize(
    ("graph", "circles", "upward"),
    [
        ({"search.a": {"search.b"}, "search.b": {"search.a"}, "search.c": {"search.a"}}, {"search.a", "search.b"}, []),
        ({"search.study.spec": {"search.designs.rows"}, "search.designs.rows": set()}, set(), ["search.study.spec"]),
        ({"search.ledger.x": {"search.strategies.y"}, "search.strategies.y": set()}, set(), ["search.ledger.x"]),
        ({"search.cli.run": {"search.study.spec"}, "search.study.spec": set()}, set(), []),
    ],
)
def test_a_fault_would_be_found(graph: dict[str, set[str]], circles: set[str], upward: list[str]) -> None:
    assert in_circles(graph) == circles
    assert [line.split()[0] for line in upward_imports(graph)] == upward


def test_an_import_inside_a_function_counts() -> None:
    source = "import cluster.local\ndef f():\n    from search import plan\n    from search.plan import g\n"
    assert imported_by(source, {"search", "search.plan", "cluster.local"}) == {"search.plan", "cluster.local"}


def test_nothing_but_the_command_line_imports_the_bench() -> None:
    found = [name for name, targets in import_graph().items() if any(t.startswith("search.bench") for t in targets)]
    assert not [name for name in found if not name.startswith(("search.bench", "search.cli"))]


def test_no_folder_is_a_heap() -> None:
    heaps = {folder.relative_to(REPOSITORY).as_posix() for folder in folders() if len(rooms(folder)) > MOST_ROOMS}
    assert not heaps


def test_no_file_is_a_scroll() -> None:
    scrolls = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in folders()
        for path in folder.glob("*.py")
        if path.read_text(encoding="utf-8").count("\n") > MOST_LINES
    }
    assert not scrolls


def test_the_picture_of_the_rooms_shows_every_folder_and_no_other() -> None:
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"```text\n(.*?)```", guide, flags=re.DOTALL)
    shown = set(re.findall(r"\b(?:datasets_spec|trainers|search)/[a-z_]+", picture))
    folders = {f"{package}/{room}" for package in ORDER for room in rooms(REPOSITORY / package)}
    assert shown == {name for name in folders if (REPOSITORY / name).is_dir()}


def test_the_map_names_what_exists() -> None:
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:datasets_spec|trainers|search|cluster|tests|docs)/[A-Za-z0-9_./]+)`", guide))
    assert len(named) > 30
    assert not sorted(name for name in named if not (REPOSITORY / name).exists())
