"""The commands of the guide, and those of the README on its study, work on a smaller study.

README's other lines (a package to install, nodes, another machine) are only parsed: test_hints.py.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.studies.documented import REPOSITORY, Documented, commands_of

GUIDE = "docs/guide.md"


@pytest.mark.ray
def test_the_study_block_of_the_readme_runs_on_a_smaller_study(documented: Documented) -> None:
    lines = [line for line in commands_of("README.md") if "my-study" in line]
    assert len(lines) > 5
    for line in lines:
        documented.run(line)
    assert (documented.folder / "my-study/runs/phantom-demo/report/index.html").is_file()


@pytest.mark.ray
def test_every_command_of_the_guide_runs_on_a_smaller_study(documented: Documented) -> None:
    printed = {line: documented.run(line) for line in commands_of(GUIDE)}
    assert len(printed) > 12
    by_verb = {shlex.split(line)[1]: output for line, output in printed.items()}
    assert "sees, four times in five, on sealed: a difference of" in by_verb["plan"]
    assert "files" in by_verb["verify"]
    assert (documented.folder / "for-trl" / "README.md").is_file()
    assert (documented.folder / "my-catalog.yaml").is_file()
    assert "probability" in by_verb["predict"]


def test_the_guide_names_no_other_command_with_arguments_than_those_it_runs() -> None:
    text = re.sub(r"```.*?```", "", (REPOSITORY / GUIDE).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = [inline for inline in re.findall(r"`(recombine [^`]+)`", text) if len(inline.split()) > 2]
    assert named == []
    assert len(text.splitlines()) < 300


def test_pictures_and_places_that_the_guide_links_to_are_there() -> None:
    text = (REPOSITORY / GUIDE).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text)
    assert sum(name.endswith(".png") for name, _ in links) >= 3
    for name, place in links:
        path: Path = (REPOSITORY / GUIDE).parent / name
        assert path.is_file(), name
        heads = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8")) if place else []
        assert not place or place in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, place
