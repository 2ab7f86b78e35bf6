"""Who may import whom, and no room called after nothing: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "datasets_spec": {"datasets_spec"},
    "cluster": {"cluster"},
    "trainers": {"trainers", "datasets_spec"},
    "search": {"search", "trainers", "datasets_spec", "cluster"},
}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}


def imported_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every absolute import anywhere in a module, also inside functions, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield node.lineno, argument.value


def wrong_imports(package: str, source: str) -> list[tuple[int, str]]:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package]
    return [(line, name) for line, name in imported_names(ast.parse(source)) if name.split(".")[0] in forbidden]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: imports {name}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for line, name in wrong_imports(package, path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("package", "source", "lines"),
    [
        ("cluster", "import os\nfrom datasets_spec.errors import UserError\n", [2]),
        ("trainers", "def f():\n    import search.ledger\n", [2]),
        ("datasets_spec", "import importlib\nimportlib.import_module('cluster.connect')\n", [2]),
        ("trainers", "from datasets_spec import mat\nfrom .search import x\nimport searching\n", []),
    ],
)
def test_a_wrong_import_would_be_found(package: str, source: str, lines: list[int]) -> None:
    assert [line for line, _ in wrong_imports(package, source)] == lines


def test_every_name_says_something() -> None:
    paths = [path for package in MAY_IMPORT for path in (REPOSITORY / package).rglob("*")]
    assert not [str(path.relative_to(REPOSITORY)) for path in paths if path.stem in NAMELESS]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_say_what_they_are(package: str) -> None:
    # A folder without __init__.py loses to a user's module of the same name.
    tree = ast.parse((REPOSITORY / package / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)


def test_the_command_line_loads_no_heavy_library() -> None:
    heavy = ["torch", "ray", "transformers", "altair", "scipy", "pandas"]
    program = f"import sys, search.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_benchmark_compares_with_what_never_changes() -> None:
    """The baseline of `make bench-data` would otherwise get faster with the product."""
    frozen = REPOSITORY / "tests" / "benchmarks" / "frozen"
    found = {name for path in frozen.glob("*.py") for _, name in imported_names(ast.parse(path.read_text("utf-8")))}
    ours = {name for name in found if name.split(".")[0] in {*MAY_IMPORT, "tests"}}
    assert ours <= {f"tests.benchmarks.frozen.{path.stem}" for path in frozen.glob("*.py")}
