"""A source that has fewer rows than it is asked for gives what it has, and that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError, UserError
from search.cli.plan import show_plan
from search.phases.search import context_of
from search.planning.cost import compute_plan
from search.planning.facts import read_facts
from search.strategies.interface import Observation
from search.strategies.registry import build_strategy
from search.study.run_dir import RunDir, claim_run_dir, holds_exactly, require_same_study
from search.study.source_rows import source_rows_lines, with_rows
from search.study.study import Study
from search.vocabulary import Status
from tests.makers.study_fixture import open_study, write_store, write_study

ALL = {"space.composition.num_samples": "all"}


def counted(study: Study, **rows: int) -> Study:
    return with_rows(study, lambda name, split: rows.get(name.replace("-", "_"), 99) if split == "train" else 9)


def test_enough_rows_leave_the_study_as_it_is(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert counted(study) is study
    assert source_rows_lines(study) == []


def test_one_small_source_does_not_force_the_others_down(tmp_path: Path) -> None:
    study = counted(open_study(tmp_path), ct_lung=7)
    space = study.spec.space.composition
    assert space.grid_of("ct-lung") == (4, 7)
    assert space.grid_of("mr-brain") == (4, 8)
    assert source_rows_lines(study) == [
        "numbers of samples: these sources give all rows that they have where more is asked: ct-lung (7)"
    ]
    limited = open_study(tmp_path / "limited", {"space.composition.most_samples": {"ct-lung": 4}})
    assert counted(limited, ct_lung=7) is limited, "it is not asked for more than it has"


@pytest.mark.parametrize("changes", [{}, ALL])
def test_a_study_with_a_small_source_goes_on_in_its_directory(changes: dict[str, Any], tmp_path: Path) -> None:
    written, run_dir = open_study(tmp_path, changes), RunDir(tmp_path / "run")
    study = counted(written, ct_lung=7, ct_brain=7)
    identity = {"store": "s"}
    for _ in range(2):
        require_same_study(run_dir, written.spec)
        claim_run_dir(run_dir, study.spec, identity)
    assert holds_exactly(run_dir, written.spec)
    other = open_study(tmp_path / "other", changes | {"seed": 7})
    assert not holds_exactly(run_dir, other.spec)
    with pytest.raises(UserError, match="seed: was 0, is 7") as caught:
        require_same_study(run_dir, other.spec)
    assert "source_rows" not in caught.value.message
    with pytest.raises(UserError, match="source_rows"):
        claim_run_dir(run_dir, counted(written, ct_lung=6, ct_brain=7).spec, identity)


def test_one_large_source_that_forbids_mixes_is_told(tmp_path: Path) -> None:
    changes = {"num_samples_of": {"ct-brain": [16]}, "max_cost": 1e9}
    changes["sample_costs"] = dict.fromkeys(["ct-lung", "ct-brain", "mr-brain"], 0.5)
    (line,) = source_rows_lines(open_study(tmp_path, {f"space.composition.{k}": v for k, v in changes.items()}))
    assert line.startswith("WARNING: no composition has more than 1 of the sources, for with max_cost")
    assert "ct-brain (16) gives no fewer" in line


def test_all_is_what_each_source_has_and_unknown_before(tmp_path: Path) -> None:
    before = open_study(tmp_path, ALL)
    assert "known once the data are prepared" in source_rows_lines(before)[0]
    study = counted(before, ct_lung=3, ct_brain=17, mr_brain=9)
    assert {c.as_dict().get("mr-brain") for c in study.spec.space.composition.enumerate()} == {None, 9}
    told = source_rows_lines(study)
    assert told[0].endswith("ct-lung (3), mr-brain (9)")
    assert "WARNING: no composition has ct-brain (17)" in told[1]
    with pytest.raises(UserError, match="with the rows that the sources have, no composition is possible"):
        counted(before, ct_lung=17, ct_brain=17, mr_brain=17)


@pytest.mark.parametrize("name", ["recombine", "random", "optuna-tpe", "greedy", "metadata", "static", "exhaustive"])
def test_every_strategy_proposes_what_the_sources_have(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"space.composition.num_samples": [4, "all"], "space.composition.budget": 30}
    study = open_study(tmp_path, changes | {"space.recipe": {"lora_rank": [4, 8]}})
    store = write_store(study, {"ct-lung/train": 3, "ct-brain/train": 11, "mr-brain/train": 19})
    study = with_rows(study, store.count)
    space = study.spec.space
    strategy = build_strategy(name, space=space, seed=0, context=context_of(study, store))
    history: list[Observation] = []
    for index in range(14):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        assert space.violations(suggestion.candidate) == []
        assert all(n <= store.count(s, "train") for s, n in suggestion.candidate.composition.items())
        scores = {"mr-lung": 0.3 + 0.01 * index}
        history.append(
            Observation(
                candidate=suggestion.candidate,
                values=(scores["mr-lung"],),
                status=Status.finished,
                proposal_index=index,
                scores=scores,
            )
        )
    assert len({o.candidate.identity for o in history}) == 14


def test_a_plan_says_it_and_counts_a_control_for_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path, ALL | {"space.composition.budget": 40, "backbone.model": "phantom"})
    show_plan(path, [], None)
    assert "or fewer possible compositions" in capsys.readouterr().out
    study = open_study(tmp_path / "b", ALL | {"space.composition.budget": 40})
    study = with_rows(study, write_store(study, {"ct-lung/train": 3}).count)
    show_plan(tmp_path / "b" / "study.yaml", [], None)
    shown = capsys.readouterr().out
    assert "give all rows that they have where more is asked: ct-brain (12), ct-lung (3), mr-brain (12)" in shown
    plan = compute_plan(study, read_facts(study, RunDir(tmp_path / "none")))
    controls = next(phase for phase in plan.phases if phase.phase == "their controls")
    assert (controls.num_trials, controls.note) == (2, "one a target for each of 2 numbers of samples")


def test_a_design_needs_a_number(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"set design\.num_samples"):
        open_study(tmp_path, ALL | {"design": {"kind": "controlled"}})
