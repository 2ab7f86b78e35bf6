"""What an explanation asks for is trained as it says, and nothing is started where nothing was asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.cli.verbs import app
from search.evidence.explain.wanted_trials import read_wanted, write_wanted
from search.phases.top_up import run_top_up
from search.space.composition import Composition
from search.study.run_dir import RunDir, RunFile
from search.vocabulary import Stage
from tests.makers.study_fixture import open_study, write_study

WANTED = [Composition({"ct-lung": 4}), Composition({"ct-brain": 2, "mr-brain": 4})]


def directory(tmp_path: Path) -> RunDir:
    run_dir = RunDir(tmp_path / "run")
    (run_dir / RunFile.report).mkdir(parents=True)
    return run_dir


def test_the_trials_are_those_that_were_asked_for(tmp_path: Path) -> None:
    run_dir = directory(tmp_path)
    write_wanted(run_dir, "ct-brain", WANTED)
    ran: list[Any] = []
    run: Any = SimpleNamespace(
        run_dir=run_dir,
        spec=open_study(tmp_path).spec,
        factory=SimpleNamespace(spec=lambda composition, recipe, seed, splits: (composition, seed, splits)),
        say=lambda text: None,
        run_list=ran.extend,
    )
    run_top_up(run)
    assert [planned.spec for planned in ran] == [(composition, run.spec.seed, ("search",)) for composition in WANTED]
    assert {(planned.stage, planned.reason) for planned in ran} == {
        (Stage.top_up, "sharpens the effect of ct-brain"),
    }


def test_a_damaged_file_and_none_are_answered(tmp_path: Path) -> None:
    run_dir = directory(tmp_path)
    with pytest.raises(UserError, match="no explanation has asked for trials"):
        read_wanted(run_dir)
    (run_dir / RunFile.top_up).write_text('{"effect": "ct-brain"')
    with pytest.raises(UserError, match="is damaged"):
        read_wanted(run_dir)


def test_the_command_starts_nothing_where_nothing_was_asked_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", str(write_study(tmp_path)), "--topup"])
    assert "no explanation has asked for trials" in str(done.exception)
