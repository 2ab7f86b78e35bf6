"""What counts as composing, and how trials are ranked by it."""

from __future__ import annotations

from typing import Any

import pytest

from search.study.objective import mean_score, objective_names, objective_values
from search.study.spec import StudySpec
from search.vocabulary import Status
from tests.makers.study_fixture import changed


def spec_of(objective: str = "cg") -> StudySpec:
    changes = {"targets": ["t1", "t2"], "abilities": ["a1"], "objective": objective}
    return StudySpec.model_validate(changed(changes))


def score(eval_set: str, accuracy: float, exposure: str = "held_out", split: str = "search") -> dict[str, Any]:
    return {"eval_set": eval_set, "split": split, "exposure": exposure, "accuracy": accuracy}


def record(*scores: dict[str, Any], status: str = "finished") -> dict[str, Any]:
    return {"status": status, "evaluations": list(scores)}


GOOD = (score("t1", 0.4), score("t2", 0.6), score("a1", 0.9))


def test_each_objective_is_the_mean_over_its_sets() -> None:
    assert objective_values(spec_of(), record(*GOOD)) == pytest.approx((0.5,))
    assert objective_values(spec_of("multi_image"), record(*GOOD)) == pytest.approx((0.9,))
    assert objective_values(spec_of("pareto"), record(*GOOD)) == pytest.approx((0.5, 0.9))
    for objective in ("cg", "multi_image", "pareto"):
        spec = spec_of(objective)
        assert len(objective_names(spec)) == spec.num_objectives == len(objective_values(spec, record(*GOOD)) or ())


def test_a_trial_that_saw_a_targets_key_has_no_value() -> None:
    seen = record(score("t1", 1.0, "in_domain"), *GOOD[1:])
    assert objective_values(spec_of(), seen) is None
    assert objective_values(spec_of("pareto"), seen) is None
    assert mean_score(seen, ["t1"], "search") is None
    assert mean_score(seen, ["t2"], "search") == pytest.approx(0.6)


def test_few_shot_counts() -> None:
    assert objective_values(spec_of(), record(score("t1", 0.8, "few_shot"), *GOOD[1:])) == pytest.approx((0.7,))


@pytest.mark.parametrize("status", [s.value for s in Status if s is not Status.finished])
def test_only_finished_trials_have_a_value(status: str) -> None:
    assert objective_values(spec_of(), record(*GOOD, status=status)) is None


def test_missing_other_and_non_finite_scores_are_no_value() -> None:
    assert objective_values(spec_of(), record(*GOOD[1:])) is None
    assert objective_values(spec_of(), record(score("t1", 0.4, split="confirm"), *GOOD[1:])) is None
    assert objective_values(spec_of(), record(score("t1", float("nan")), *GOOD[1:])) is None
