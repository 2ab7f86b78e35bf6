"""`recombine compare`: settings that differ, selections and figures of studies beside each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.cli.verbs import app
from search.ledger.ledger import Ledger
from search.results.compare import compare_runs
from search.study.run_dir import IDENTITY_KEY, RunDir
from tests.makers.finished_run import SELECTED, finished_study


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[RunDir]:
    folder = tmp_path_factory.mktemp("two")
    first = finished_study(folder / "first")[1]
    second = finished_study(folder / "second", {"name": "other", "strategy.num_trials": 9, "seed": 3})[1]
    return [first, second]


def test_only_settings_that_differ_are_shown(two: list[RunDir]) -> None:
    found = compare_runs(two)
    assert found.names == ("tiny", "other")
    assert found.settings == {"seed": ("0", "3"), "strategy.num_trials": ("6", "9")}
    assert found.compositions == {name: (size, size) for name, size in SELECTED.items()}


def test_figures_are_those_of_each_selection(two: list[RunDir]) -> None:
    found = compare_runs(two)
    for place, run_dir in enumerate(two):
        selection = json.loads((run_dir / "selection" / "selection.json").read_text())
        (entry, *_) = [e for e in selection["estimates"]["sealed"] if e["eval_set"] == "mr-lung"]
        assert found.figures["mr-lung, sealed"][place].startswith(f"{100 * entry['accuracy']:.1f} % (")
    assert len(found.cautions) == 1  # same data, backbone and targets


def test_other_data_are_said(two: list[RunDir], tmp_path: Path) -> None:
    run = json.loads((two[1] / "run.json").read_text()) | {"store_fingerprint": "another"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text(json.dumps(run))
    (other / "study.resolved.yaml").write_text((two[1] / "study.resolved.yaml").read_text())
    found = compare_runs([two[0], RunDir(other)])
    assert found.cautions[0].startswith("the studies have other data")
    assert found.figures["finding"][1] == "no selection yet"


def test_an_unfinished_study_on_the_same_data_is_not_said_to_have_others(two: list[RunDir], tmp_path: Path) -> None:
    begun = RunDir(tmp_path)
    resolved = (two[1] / "study.resolved.yaml").read_text()
    (begun / "study.resolved.yaml").write_text(resolved)
    assert len(compare_runs([two[0], begun]).cautions) == 1
    spec, _, _ = resolved.partition(f"{IDENTITY_KEY}:")
    (begun / "study.resolved.yaml").write_text(f"{spec}{IDENTITY_KEY}: {{store: another}}")
    assert compare_runs([two[0], begun]).cautions[0].startswith("the studies have other data")


def test_answers_that_were_compared_by_other_rules_are_said(two: list[RunDir], tmp_path: Path) -> None:
    later, earlier = RunDir(tmp_path / "later"), RunDir(tmp_path / "earlier")
    later.root.mkdir()
    shutil.copytree(two[0].root, earlier.root)
    resolved = (two[1] / "study.resolved.yaml").read_text().rstrip()
    (later / "study.resolved.yaml").write_text(resolved.replace(f"{IDENTITY_KEY}:", f"{IDENTITY_KEY}:\n  scorer: '2'"))
    assert len(compare_runs([earlier, later]).cautions) == 1  # it has scored letters alone
    score = {"score_id": "s", "eval_set": "mr-lung", "split": "search", "free_answers": {"open": {"n": 4}}}
    with Ledger.open(earlier / "ledger", writer=True) as ledger:
        ledger.append(
            {
                "kind": "trial",
                "stage": "search",
                "status": "finished",
                "seed": 9,
                "train_id": "t",
                "evaluations": [score],
            }
        )
    caution = compare_runs([earlier, later]).cautions[0]
    assert caution.startswith("answers in words were compared by the rules of another")


def test_the_command_prints_three_tables_and_needs_two(two: list[RunDir]) -> None:
    done = CliRunner().invoke(app, ["compare", *map(str, two)])
    assert done.exit_code == 0, done.output
    assert "strategy.num_trials" in done.output
    assert "caution: intervals are each study's own" in done.output
    with pytest.raises(UserError, match="nothing to stand beside"):
        compare_runs(two[:1])
