"""The wheel holds the four packages with their data, nothing else, and works from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = {"search", "trainers", "datasets_spec", "cluster"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_top_level_is_the_four_packages(names: set[str]) -> None:
    top = {name.split("/")[0] for name in names}
    (info,) = (name for name in top if name.endswith(".dist-info"))
    assert top - {info} == PACKAGES
    assert any(name.startswith(f"{info}/licenses/LICENSE") for name in names)


def test_every_file_of_the_packages_is_inside(names: set[str]) -> None:
    here = {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= names
    for kind in (".yaml", ".safetensors"):
        assert any(name.endswith(kind) for name in names), f"no {kind} in the wheel"


def test_command_works_from_an_unrelated_folder(wheel: Path, tmp_path: Path) -> None:
    """Also beside a user's own search.py, which would shadow ours for `python -m`."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "search.py").write_text("raise RuntimeError('shadowed')\n")
    program = (
        "import sys; from importlib.metadata import distribution\n"
        "(entry,) = [e for e in distribution('recombine').entry_points if e.name == 'recombine']\n"
        "main = entry.load(); import search; assert search.__file__.startswith(sys.argv.pop(1))\n"
        "sys.argv = ['recombine', '--help']; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(site)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "recombine" in done.stdout


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_and_tells_its_version(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are lent by this environment: what is installed is the wheel alone."""
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    (site,) = home.glob("lib/python3*/site-packages")
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    assert (site / "search" / "report" / "templates" / "page.html.j2").is_file()
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent) + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [home / "bin" / "recombine", "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    commit = rf" \(commit {head.stdout.strip()}(-dirty)?\)" if head.returncode == 0 else ""
    assert re.match(rf"recombine 0\.1\.0{commit}, Python 3\S+, Ray 2\S+, torch 2", done.stdout), done.stdout


def test_the_changelog_has_the_version_under_work_as_unreleased_and_then_older_ones() -> None:
    """Every change stands once; a version that has a heading of its own is older than the one under work."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"(?m)^## (.+)$", text)
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert versions[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", name) for name in versions[1:])
    assert all(tuple(map(int, name.split("."))) < tuple(map(int, version.split("."))) for name in versions[1:])
    changes = re.findall(r"(?ms)^- .*?(?=\n- |\n\n|\Z)", text)
    assert len(changes) == len(set(changes))
    assert all("\n- " in area for area in re.split(r"(?m)^### .+$", text))
