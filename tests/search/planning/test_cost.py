"""A plan counts what a study will do, and starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.cli.plan import relation_rows
from search.ledger.ledger import Ledger
from search.planning.cost import ASSUMED_POOL_START_S, ASSUMED_STARTUP_S, StudyPlan, compute_plan, stop_when_line
from search.planning.facts import read_facts
from search.study.run_dir import RunDir
from search.study.study import Study
from tests.makers.study_fixture import open_study


def planned(study: Study, root: Path) -> StudyPlan:
    return compute_plan(study, read_facts(study, RunDir(root / "run")))


def trials_by_phase(root: Path, changes: dict[str, Any]) -> dict[str, int]:
    plan = planned(open_study(root, changes), root)
    assert plan.num_trials == sum(phase.num_trials for phase in plan.phases)
    return {phase.phase: phase.num_trials for phase in plan.phases}


def test_every_phase_is_counted(tmp_path: Path) -> None:
    changes = {"confirm.num_finalists": 2, "confirm.seeds": [101, 102], "transfer.seeds": [0, 1]}
    assert trials_by_phase(tmp_path, changes) == {
        "baseline": 1,
        "search": 6,
        "single sources": 6,  # 3 sources, 2 seeds
        "their controls": 2,  # 1 target, 2 seeds
        "finalists": 4,
        "comparators": 8,  # 3 and 1 control, 2 seeds
    }


def test_repeats_of_the_matrix_are_counted(tmp_path: Path) -> None:
    assert trials_by_phase(tmp_path / "default", {})["matrix repeats"] == 6  # 2 sources, 3 further seeds
    few = {"transfer.repeats": 1, "transfer.repeat_seeds": [0, 7]}  # 0 is the matrix's own seed
    assert trials_by_phase(tmp_path / "few", few)["matrix repeats"] == 1
    assert "matrix repeats" not in trials_by_phase(tmp_path / "none", {"transfer.repeats": 0})


def test_what_is_switched_off_costs_nothing(tmp_path: Path) -> None:
    changes = {"confirm.enabled": False, "transfer.enabled": False}
    assert trials_by_phase(tmp_path, changes) == {"baseline": 1, "search": 6}


def test_the_default_search_says_how_it_divides_its_trials_and_how_many_would_be_enough(tmp_path: Path) -> None:
    def course(root: Path, **changes: Any) -> str:
        plan = planned(open_study(root, {"strategy": {"name": "recombine", "num_trials": 10}, **changes}), root)
        return next(line for line in plan.assumptions if line.startswith("search:"))

    assert course(tmp_path / "a") == (
        "search: 3 sources alone are known to it; the opening takes 5 trials, expected improvement 5; "
        "strategy.num_trials 42 would leave the opening of 21 whole, with as many after it"
    )
    assert course(tmp_path / "b", **{"transfer.enabled": False}).startswith("search: the opening takes 5 trials")
    enough = course(tmp_path / "c", strategy={"name": "recombine", "num_trials": 42})
    assert enough.endswith("the opening takes 21 trials, expected improvement 21")


def test_a_small_space_needs_fewer_trials_than_allowed(tmp_path: Path) -> None:
    changes = {
        "strategy": {"name": "exhaustive", "num_trials": 99},
        "space.recipe": {},
        "space.composition.max_size": 1,
    }
    assert trials_by_phase(tmp_path, changes)["search"] == 6  # 3 sources, 2 numbers of samples


def test_assumptions_are_said_and_given_as_a_range(tmp_path: Path) -> None:
    plan = planned(open_study(tmp_path), tmp_path)
    nested = planned(open_study(tmp_path, {"execution.executor": "nested"}), tmp_path)
    assert not plan.is_measured
    assert (plan.startup_s, nested.startup_s) == (ASSUMED_STARTUP_S["pooled"], ASSUMED_STARTUP_S["nested"])
    assert any("executor: pooled" in assumption for assumption in plan.assumptions)
    assert plan.wall_s[1] == pytest.approx(4 * plan.wall_s[0])
    assert any("assumed" in assumption for assumption in plan.assumptions)
    assert plan.gpu_s == (0.0, 0.0)
    assert not (tmp_path / "run").exists()


def test_figures_of_this_study_replace_assumptions(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"execution.gpus_per_worker": 1, "execution.max_concurrent": 2})
    with Ledger.open(tmp_path / "run" / "ledger", writer=True) as ledger:
        for number, (status, startup_s) in enumerate([("finished", 8.0), ("finished", 10.0), ("failed", 900.0)]):
            trial = {"kind": "trial", "train_id": str(number), "stage": "search", "arm": "", "status": status}
            ledger.append({**trial, "startup_s": startup_s, "train_s": 2.0, "num_steps": 4, "evaluations": []})
    plan = planned(study, tmp_path)
    assert plan.is_measured
    assert (plan.startup_s, plan.step_s) == (10.0, 0.5)
    trial_s = 10.0 + 0.5 * 4
    assert plan.wall_s[0] == pytest.approx(plan.num_trials * trial_s / 2 + ASSUMED_POOL_START_S)
    assert plan.gpu_s[0] == pytest.approx(plan.num_trials * trial_s)


def test_relations_are_shown_for_every_pair(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"targets": ["mr-lung", "ct-brain-new"]})
    assert relation_rows(study) == [
        ["ct-brain", "-", "same key (in domain)"],
        ["ct-lung", "area+task", "modality"],
        ["mr-brain", "modality", "area"],
    ]


def test_kinds_of_slots_are_counted(tmp_path: Path) -> None:
    usual = planned(open_study(tmp_path / "a", {"execution.max_concurrent": 4}), tmp_path)
    by_kind = planned(open_study(tmp_path / "b", {"execution.slots": [{"count": 3}, {"cpus": 2}]}), tmp_path)
    assert by_kind.wall_s == usual.wall_s
    assert any(line.startswith("4 trials at a time") for line in by_kind.assumptions)


@pytest.mark.parametrize(("strategy", "is_said"), [("random", True), ("recombine", False)])
def test_a_strategy_without_a_model_is_said_to_end_by_no_gain(tmp_path: Path, strategy: str, is_said: bool) -> None:
    study = open_study(tmp_path, {"strategy": {"name": strategy, "num_trials": 6, "stop_when": 0.2}})
    assert (stop_when_line(study.spec) is not None) == is_said
    assert ("makes all its trials" in str(planned(study, tmp_path).assumptions)) != is_said
    assert stop_when_line(open_study(tmp_path, {"strategy.name": strategy}).spec) is None


def test_gpu_hours_are_those_of_the_slots(tmp_path: Path) -> None:
    slots = [{"count": 3, "gpus": 4}, {}]
    one = planned(open_study(tmp_path / "a", {"execution.gpus_per_worker": 1}), tmp_path)
    more = planned(open_study(tmp_path / "b", {"execution": {"gpus_per_worker": 1, "slots": slots}}), tmp_path)
    assert more.gpu_s[0] == pytest.approx(one.gpu_s[0] * (3 * 4 + 1) / 4)
    assert "4 trials at a time, 3 with 1 CPU and 4 GPU, 1 with 1 CPU and 1 GPU" in more.assumptions
