"""Tables from made results whose truth is known."""

import itertools
from typing import Any

import numpy as np
import pytest

from search.bench.phantom.arms import ARMS
from search.bench.phantom.contrasts import (
    accuracy_cube,
    arm_contrast,
    arm_contrasts,
    crossed_interval,
    pick_from_table,
    table_summary,
)
from search.bench.phantom.plan import (
    BASELINE,
    CONFIRM_SEEDS,
    EvidencePlan,
    arm_trials,
    composition_trials,
    load_plan,
    table_trials,
)
from search.bench.phantom.write import compute_evidence, evidence_markdown, write_evidence
from trainers.backbone_spec import PHANTOM_DIR

PLAN = load_plan()
BASES = [str(PHANTOM_DIR)]
LEVELS = {BASELINE: 0.5, "related": 0.9, "control": 0.5}


def made(trials: Any, level: Any) -> list[dict[str, Any]]:
    """Results in which every trial gets the given share of its questions right."""
    results = []
    for trial in trials:
        correct = {}
        for target in trial.targets:
            num_right = round(level(trial, target) * trial.num_questions)
            correct[target] = [1] * num_right + [0] * (trial.num_questions - num_right)
        fields = {"arm": trial.arm, "base": trial.base, "sources": list(trial.sources), "seed": trial.seed}
        results.append({**fields, "correct": correct, "cpu_s": {"rows": 0.1, "train": 4.0, "score": 1.0}})
    return results


def arm_level(trial: Any, target: str) -> float:
    level = LEVELS.get(trial.arm, 0.7)
    return level - 0.1 if target.endswith("temporal") else level


@pytest.fixture(scope="module")
def arms() -> list[dict[str, Any]]:
    return made(arm_trials(PLAN, BASES, range(2)), arm_level)


def test_every_arm_of_every_target_is_planned_once_a_base_and_seed() -> None:
    trials = arm_trials(PLAN, BASES, range(3))
    assert len(trials) == 1 + 3 * len(PLAN.targets) * len(ARMS)
    for trial in trials:
        assert not trial.sources or len(trial.sources) * trial.num_samples == 1440  # arms are matched in samples
        assert not set(trial.sources) & set(trial.targets)  # no target is trained on
    assert {name for trial in trials for name in trial.targets} >= set(PLAN.all_of(PLAN.targets[0]))


def test_the_table_holds_every_composition() -> None:
    trials = table_trials(PLAN, BASES[0], [0])
    assert len(trials) == 256
    assert len({trial.sources for trial in trials}) == 256
    assert not {s for trial in trials for s in trial.sources} & set(PLAN.table_targets)


def test_contrasts_are_differences_of_means(arms: list[dict[str, Any]]) -> None:
    found = arm_contrast(arms, PLAN, "related", "control")
    assert found.difference == pytest.approx(40.0)
    assert found.interval == pytest.approx((40.0, 40.0))  # nothing varies here
    assert (found.num_positive, found.num_targets) == (8, 8)
    gain = arm_contrast(arms, PLAN, "related", BASELINE, "temporal")
    assert gain.difference == pytest.approx(40.0)
    assert accuracy_cube(arms, ["ct-brain-grading-temporal"], "related", BASES).shape == (1, 1, 2)
    assert [c.second for c in arm_contrasts(arms, PLAN)][:5] == [
        BASELINE, "without_modality", "without_area", "without_task", "control",
    ]  # fmt: skip


def test_a_missing_trial_is_an_error_and_not_a_gap(arms: list[dict[str, Any]]) -> None:
    with pytest.raises(KeyError):
        accuracy_cube(arms[:-40], ["oct-kidney-laterality"], "single", BASES)


def test_arms_that_are_not_there_yet_are_left_out(arms: list[dict[str, Any]]) -> None:
    claimed = [result for result in arms if result["arm"] not in ("random", "single")]
    assert "random" not in [c.second for c in arm_contrasts(claimed, PLAN)]
    assert "random" not in compute_evidence(PLAN, claimed, [], []).arms


@pytest.mark.parametrize("spreads", [(6, 1, 1), (6, 4, 3), (4, 6, 3), (6, 0, 3)])
def test_intervals_cover_the_truth_under_noise(spreads: tuple[float, float, float]) -> None:
    """Eight targets, three bases, three seeds, as measured; spreads of targets, bases and the rest in points."""
    rng, hits, num = np.random.default_rng(0), 0, 2_000
    shapes = ((8, 1, 1), (1, 3, 1), (8, 3, 3))
    for _ in range(num):
        targets, bases, rest = (rng.normal(0, s, shape) for s, shape in zip(spreads, shapes, strict=True))
        low, high = crossed_interval(5 + targets + bases + rest)
        hits += low <= 5 <= high
    assert hits / num >= 0.925  # 93.6 to 96.1 in 3,000 draws; too few bases for more


def test_accuracies_of_picks_come_from_fresh_seeds() -> None:
    """A composition that was lucky in the table must not keep its luck."""
    lucky = PLAN.table_sources[:2]
    table = made(table_trials(PLAN, BASES[0], [0]), lambda t, _: 0.95 if t.sources == lucky else 0.6)
    picks = pick_from_table(table, PLAN)
    assert all(best == lucky for best, _ in picks.values())
    compositions = sorted({sources for pair in picks.values() for sources in pair} | {PLAN.table_sources})
    fresh = made(composition_trials(PLAN, BASES[0], compositions, CONFIRM_SEEDS), lambda t, _: 0.6)
    for row in table_summary(table, fresh, PLAN):
        assert (row.best, row.all_data, row.best_single, row.margin) == pytest.approx((60.0, 60.0, 60.0, 0.0))
    assert not set(CONFIRM_SEEDS) & {result["seed"] for result in table}
    asked = {t.question_split for t in table_trials(PLAN, BASES[0], [0]) if t.sources}
    assert not asked & {t.question_split for t in composition_trials(PLAN, BASES[0], compositions, CONFIRM_SEEDS)}


def test_the_files_say_what_was_computed(arms: list[dict[str, Any]], tmp_path: Any) -> None:
    level = {1: 0.6, 8: 0.7}
    table = made(table_trials(PLAN, BASES[0], [0]), lambda t, _: level.get(len(t.sources), 0.8) if t.sources else 0.5)
    picks = {sources for pair in pick_from_table(table, PLAN).values() for sources in pair} | {PLAN.table_sources}
    fresh = made(
        composition_trials(PLAN, BASES[0], sorted(picks), CONFIRM_SEEDS), lambda t, _: level.get(len(t.sources), 0.8)
    )
    evidence = compute_evidence(PLAN, arms, table, fresh)
    text = evidence_markdown(evidence)
    assert "| related | 90.0 |" in text
    assert "| related - control | single image | +40.0 | +40.0 to +40.0 | 8 of 8 |" in text
    assert "12 of 12 targets" in text
    assert all(row.margin == pytest.approx(10.0) for row in evidence.table)
    paths = write_evidence(evidence, tmp_path)
    assert [path.name for path in paths] == ["evidence.json", "evidence.md", "evidence.svg"]
    svg = paths[2].read_text()
    assert "best of 255 compositions" in svg
    assert "without_task" in svg
    only_arms = compute_evidence(PLAN, arms, [], [])
    assert "255" not in evidence_markdown(only_arms)
    assert "without_task" in write_evidence(only_arms, tmp_path)[2].read_text()


def test_the_plan_is_the_fixed_file() -> None:
    assert isinstance(PLAN, EvidencePlan)
    assert len(PLAN.targets) == 8
    names = list(itertools.chain.from_iterable(PLAN.all_of(target) for target in PLAN.targets))
    assert len(set(names)) == 40
