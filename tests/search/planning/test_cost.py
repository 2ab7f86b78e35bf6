"""A plan counts what a study will do, and starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.cli.plan import gpu_memory_line
from search.ledger.ledger import Ledger
from search.phases.run_study import check_not_extended, check_rows
from search.phases.write_results import run_info
from search.planning.cost import ASSUMED_POOL_START_S, ASSUMED_STARTUP_S, compute_plan, relation_rows, row_counts
from tests.makers.study_fixture import open_study, write_store


def trials_by_phase(root: Path, changes: dict[str, Any]) -> dict[str, int]:
    plan = compute_plan(open_study(root, changes), root / "run")
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


def test_what_is_switched_off_costs_nothing(tmp_path: Path) -> None:
    changes = {"confirm.enabled": False, "transfer.enabled": False}
    assert trials_by_phase(tmp_path, changes) == {"baseline": 1, "search": 6}


def test_a_small_space_needs_fewer_trials_than_allowed(tmp_path: Path) -> None:
    changes = {
        "strategy": {"name": "exhaustive", "num_trials": 99},
        "space.recipe": {},
        "space.composition.max_size": 1,
    }
    assert trials_by_phase(tmp_path, changes)["search"] == 6  # 3 sources, 2 numbers of samples


def test_assumptions_are_said_and_given_as_a_range(tmp_path: Path) -> None:
    plan = compute_plan(open_study(tmp_path), tmp_path / "run")
    nested = compute_plan(open_study(tmp_path, {"execution.executor": "nested"}), tmp_path / "run")
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
    plan = compute_plan(study, tmp_path / "run")
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


def test_rows_are_known_once_the_data_are_prepared(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert row_counts(study) == {}
    write_store(study, {"ct-lung/train": 7})
    assert row_counts(study)["ct-lung"] == {"train": 7, "search": 4, "confirm": 4, "sealed": 4}


def test_too_few_rows_are_all_named_before_the_study_starts(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    check_rows(study, write_store(study).count)
    store = write_store(study, {"ct-lung/train": 7, "mr-brain/train": 0, "mr-lung/confirm": 0, "us-heart/search": 0})
    with pytest.raises(UserError) as caught:
        check_rows(study, store.count)
    lines = caught.value.message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["source ct-lung", "source mr-brain", "target mr-lung"]


def test_run_info_says_where_figures_come_from(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    records: tuple[dict[str, Any], ...] = (
        {"kind": "writer", "opened_at": "then"},
        {"kind": "decision", "text": "no control"},
        {"kind": "writer", "opened_at": "later"},
        {"kind": "sealed_opened"},
    )
    info = run_info(study, write_store(study).manifest, records)
    assert (info["started_at"], info["num_runs"], info["finished_at"]) == ("then", 2, None)
    assert (info["decisions"], info["sealed_openings"]) == (["no control"], 1)
    assert set(info["subsets"]) == {"ct-lung", "ct-brain", "mr-brain", "us-heart", "xr-hand", "mr-lung"}
    assert info["subsets"]["mr-lung"]["train_rows"] == 12


def test_a_search_goes_on_only_before_its_confirmation() -> None:
    records: list[dict[str, Any]] = [{"kind": "suggestion"}, {"kind": "trial"}]
    check_not_extended(records, 40)
    records.append({"kind": "confirm_started", "num_trials": 12})
    check_not_extended(records, 12)
    with pytest.raises(UserError, match="was 12 when the best were confirmed, is 40"):
        check_not_extended(records, 40)


def test_gpu_memory_is_estimated_or_said_to_be_unknown(tmp_path: Path) -> None:
    known = open_study(tmp_path / "a", {"execution.gpus_per_worker": 1}).spec
    assert "GPU memory of a worker: about 1 GiB" in gpu_memory_line(known)
    unknown = open_study(tmp_path / "b", {"execution.gpus_per_worker": 1, "backbone.model": "/nowhere"}).spec
    assert "not known" in gpu_memory_line(unknown)
