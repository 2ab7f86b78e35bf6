"""A design's table says what is better, and what may not be compared or called composing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.designs.backbones import carry_over_lines, write_comparison
from search.designs.files import design_markdown, read_design, write_design
from search.designs.judge import compute_design_table
from search.designs.rows import Arm, DesignRow, baseline_arm
from search.designs.table import DesignTable, pooled_contrasts
from search.designs.trials import arm_label, plan_design
from search.designs.wording import matched_text, notes
from search.evidence.outcomes import Outcomes
from search.space.composition import Composition
from search.study.run_dir import RunDir
from tests.makers.records import MadeUpStudy
from tests.makers.study_fixture import make_factory, open_study

DESIGN = {"design": {"kind": "controlled", "seeds": [0, 1, 2]}}


def row(name: str, *, control: int = 8, steps: int | None = None) -> DesignRow:
    return DesignRow(
        name=name,
        group="fixed_area",
        target="mr-lung",
        sources=("ct-lung", "mr-brain"),
        arms=(
            baseline_arm(),
            Arm(name="related", composition=Composition({"ct-lung": 4, "mr-brain": 4})),
            Arm(name="control", composition=Composition({"us-heart": control}), num_steps=steps),
        ),
        contrasts=(("related", "control"), ("related", "baseline")),
        published={"related": 72.0},
    )


def table_of(
    folder: Path, rows: list[DesignRow], accuracies: Mapping[str, Mapping[str, float]], *, exposure: str = "held_out"
) -> DesignTable:
    made = MadeUpStudy(num_questions=400, seed_sd=0.01)
    made.add("baseline", "baseline", {}, {("mr-lung", "confirm"): 0.5})
    for planned in rows:
        for arm in planned.arms:
            if arm.composition and arm.name in accuracies[planned.name]:
                for seed in range(3):
                    record = made.add(
                        "design",
                        arm_label(planned, arm.name),
                        arm.composition,
                        {("mr-lung", "confirm"): accuracies[planned.name][arm.name]},
                        seed=seed,
                    )
                    record["evaluations"][0]["exposure"] = exposure if arm.name == "related" else "held_out"
    spec = open_study(folder, DESIGN).spec
    return compute_design_table(made.records, Outcomes(made.load), rows, spec)


def contrast(table: DesignTable, name: str, second: str = "control") -> Any:
    return next(c for c in table.contrasts if (c.row, c.second) == (name, second))


def test_a_clear_row_is_better_and_an_equal_one_is_not(tmp_path: Path) -> None:
    rows = [row("clear"), row("equal")]
    table = table_of(
        tmp_path, rows, {"clear": {"related": 0.75, "control": 0.5}, "equal": {"related": 0.55, "control": 0.55}}
    )
    assert contrast(table, "clear").verdict == "better"
    assert contrast(table, "equal").verdict == "no difference detected"
    assert contrast(table, "equal").minimum_detectable > 0
    assert contrast(table, "clear").num_judged_together == 2
    assert contrast(table, "clear").p_adjusted >= contrast(table, "clear").p_value
    assert table.marks["clear"]
    assert {c.is_claim for c in table.contrasts if c.second == "control"} == {True}
    pooled = {(p["first"], p["second"]): p for p in pooled_contrasts(table)}
    assert pooled["related", "control"]["num_rows"] == 2


def test_the_papers_mark_is_given_to_any_higher_number(tmp_path: Path) -> None:
    table = table_of(tmp_path, [row("small")], {"small": {"related": 0.58, "control": 0.55}})
    assert table.marks["small"]
    assert contrast(table, "small").verdict == "no difference detected"
    assert "given to 1 of 1 rows; 0 of 1 claims are better" in notes(table)[0]


@pytest.mark.parametrize("unmatched", [{"control": 6}, {"steps": 2}])
def test_an_unmatched_arm_is_flagged(tmp_path: Path, unmatched: dict[str, int]) -> None:
    table = table_of(tmp_path, [row("r", **unmatched)], {"r": {"related": 0.7, "control": 0.5}})
    assert contrast(table, "r").is_matched is False
    assert matched_text(contrast(table, "r")).startswith("NO")
    assert any(line.startswith("Not matched") for line in notes(table))
    assert contrast(table, "r", "baseline").is_matched is None


@pytest.mark.parametrize("exposure", ["few_shot", "in_domain"])
def test_a_target_that_was_seen_is_not_called_composing(tmp_path: Path, exposure: str) -> None:
    table = table_of(tmp_path, [row("r")], {"r": {"related": 0.7, "control": 0.5}}, exposure=exposure)
    assert not contrast(table, "r").is_held_out
    assert "saw the target's key" in matched_text(contrast(table, "r"))
    assert any("not compositional generalisation" in line for line in notes(table))
    held_out = table_of(tmp_path, [row("r")], {"r": {"related": 0.7, "control": 0.5}})
    assert contrast(held_out, "r").is_held_out


def test_the_order_of_rows_is_compared_between_backbones(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    rows = [row(name) for name in names]

    def table(folder: str, *related: float) -> DesignTable:
        arms = {name: {"related": share, "control": 0.5} for name, share in zip(names, related, strict=True)}
        return table_of(tmp_path / folder, rows, arms)

    small, large = table("small", 0.6, 0.7, 0.8, 0.9), table("large", 0.65, 0.7, 0.9, 0.8)
    (line,) = carry_over_lines({"small": small, "large": large})
    assert line.startswith("Order of a target's rows, small and large: rank correlation 0.80 (95 % over 1 targets")
    assert "the same row is best on 0%" in line
    assert line in write_comparison({"small": small, "large": large}, RunDir(tmp_path)).read_text()
    few = table_of(tmp_path / "few", rows[:2], {"a": {"related": 0.7, "control": 0.5}, "b": {"related": 0.7}})
    assert carry_over_lines({"one": few, "two": few}) == []


def test_a_training_that_rows_share_says_once_what_training_noise_is(tmp_path: Path) -> None:
    made = MadeUpStudy(num_questions=400, seed_sd=0.02)
    made.add("baseline", "baseline", {}, {("mr-lung", "confirm"): 0.5})
    for arm in row("a").arms[1:]:
        for seed in range(3):
            made.add("design", f"a:{arm.name}", arm.composition, {("mr-lung", "confirm"): 0.6}, seed=seed)
    shared = [{**record, "arm": record["arm"].replace("a:", f"{name}:")} for name in "bcd" for record in made.records]
    spec = open_study(tmp_path, DESIGN).spec
    alone = compute_design_table(made.records, Outcomes(made.load), [row("a")], spec)
    together = compute_design_table([*made.records, *shared], Outcomes(made.load), [row(n) for n in "abcd"], spec)
    found, expected = contrast(together, "a"), contrast(alone, "a")
    assert (found.ci_low, found.ci_high) == (expected.ci_low, expected.ci_high)


def test_a_training_that_targets_share_says_once_what_training_noise_is(tmp_path: Path) -> None:
    targets = ("mr-lung", "ct-lung", "mr-brain", "us-heart")
    made = MadeUpStudy(num_questions=400, seed_sd=0.02)
    made.add("baseline", "baseline", {}, {(target, "confirm"): 0.5 for target in targets})
    for arm in row("a").arms[1:]:
        for seed in range(3):
            places = {(target, "confirm"): 0.6 for target in targets}
            made.add("design", f"mr-lung:{arm.name}", arm.composition, places, seed=seed)
    shared = [{**record, "arm": record["arm"].replace("mr-lung:", f"{t}:")} for t in targets for record in made.records]
    rows = [replace(row(target), target=target) for target in targets]
    spec = open_study(tmp_path, DESIGN).spec
    alone = compute_design_table(made.records, Outcomes(made.load), rows[:1], spec)
    together = compute_design_table([*made.records, *shared], Outcomes(made.load), rows, spec)
    # Two trainings, on one target or on four, are too few to say how much the noise of trainings differs.
    found, expected = contrast(together, "mr-lung"), contrast(alone, "mr-lung")
    assert (found.ci_low, found.ci_high) == (expected.ci_low, expected.ci_high)


def test_what_is_not_scored_yet_is_said(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, [row("half"), row("whole")], {"half": {"related": 0.7}, "whole": {"related": 0.6, "control": 0.6}}
    )
    assert table.missing == ("half",)
    assert {c.row for c in table.contrasts if c.second == "control"} == {"whole"}
    assert "Without a score of some arm: half." in notes(table)


def test_files_hold_the_table_and_the_published_figures(tmp_path: Path) -> None:
    table = table_of(tmp_path, [row("=r")], {"=r": {"related": 0.7, "control": 0.5}})
    write_design(table, RunDir(tmp_path))
    assert read_design(RunDir(tmp_path)) == table
    (tmp_path / "report" / "design.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        read_design(RunDir(tmp_path))
    assert "[72]" in design_markdown(table)
    first = (tmp_path / "report" / "design.csv").read_text().splitlines()[1]
    assert first.startswith("'=r")  # a spreadsheet must not run it


def test_a_composition_of_two_rows_is_trained_once_and_scored_for_both(tmp_path: Path) -> None:
    factory = make_factory(tmp_path, {**DESIGN, "targets": ["mr-lung", "ct-brain-new"]})
    study = open_study(tmp_path, {**DESIGN, "targets": ["mr-lung", "ct-brain-new"]})
    other = DesignRow(
        name="other",
        group="g",
        target="ct-brain-new",
        sources=("ct-lung",),
        arms=(baseline_arm(), Arm(name="related", composition=Composition({"ct-lung": 4, "mr-brain": 4}))),
        contrasts=(("related", "baseline"),),
    )
    assert study.spec.design is not None
    planned = plan_design([row("r"), other], study.spec.design, study.spec, factory)
    same = [p for p in planned if p.arm.endswith(":related")]
    assert len({p.spec.train_id for p in same}) == 3  # seeds
    for p in same:
        assert {e.eval_set for e in p.spec.evaluations} == {"mr-lung", "ct-brain-new"}
        assert {e.split for e in p.spec.evaluations} == {"confirm"}
    control = next(p for p in planned if p.arm == "r:control")
    assert {e.eval_set for e in control.spec.evaluations} == {"mr-lung"}
