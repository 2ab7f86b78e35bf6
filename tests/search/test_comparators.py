"""What a selection is compared with is matched in its number of samples."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search.comparators import all_data, best_single, random_same_size
from search.composition import Composition
from search.study import StudySpec
from tests.search.study_fixture import changed

SPEC = StudySpec.model_validate(changed({}))
ROWS = {"ct-lung": 12, "ct-brain": 12, "mr-brain": 6}


def single(source: str, accuracy: float, *, exposure: str = "held_out", stage: str = "single") -> dict[str, Any]:
    score = {"eval_set": "mr-lung", "split": "search", "exposure": exposure, "accuracy": accuracy}
    return {
        "kind": "trial",
        "stage": stage,
        "status": "finished",
        "composition": {source: 8},
        "evaluations": [score],
    }


@given(st.integers(1, 40))
def test_all_data_uses_every_source_evenly(total: int) -> None:
    found = all_data(SPEC, Composition({"ct-lung": total}), ROWS)
    assert found.total == min(total, sum(ROWS.values()))
    assert total < 3 or set(found) == set(ROWS)


def test_the_best_single_source_is_the_best_on_average_over_seeds() -> None:
    records = [
        {"kind": "suggestion"},
        single("ct-lung", 0.9),
        single("ct-lung", 0.1),
        single("ct-brain", 0.6),
        single("mr-brain", 1.0, exposure="in_domain"),
        single("mr-brain", 1.0, stage="search"),
    ]
    assert best_single(SPEC, Composition({"mr-brain": 5}), ROWS, records) == Composition({"ct-brain": 5})
    assert best_single(SPEC, Composition({"mr-brain": 50}), ROWS, records) == Composition({"ct-brain": 12})
    assert best_single(SPEC, Composition({"mr-brain": 5}), ROWS, records[:1]) is None


@given(st.sampled_from([{"ct-lung": 8}, {"ct-lung": 8, "ct-brain": 4}, {"ct-brain": 4, "mr-brain": 4}]))
def test_a_random_comparator_has_the_selections_numbers_on_other_subsets(counts: dict[str, int]) -> None:
    selected = Composition(counts)
    found = random_same_size(SPEC, selected, ROWS)
    assert found is not None
    assert found != selected
    assert sorted(found.values()) == sorted(selected.values())
    assert all(ROWS[s] >= n for s, n in found.items())
    assert random_same_size(SPEC, selected, ROWS) == found  # the same again after a restart


def test_there_may_be_no_other_composition_of_that_size() -> None:
    everything = Composition({"ct-lung": 4, "ct-brain": 4, "mr-brain": 4})
    assert random_same_size(SPEC, everything, ROWS) is None
    assert random_same_size(SPEC, Composition({"ct-lung": 12}), {**ROWS, "ct-brain": 1}) is None
