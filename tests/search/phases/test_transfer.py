"""The matrix comes before the search, except in a study whose search began without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.phases.search import known_results
from search.phases.transfer import is_matrix_first
from tests.makers.study_fixture import open_study


def single(accuracy: float = 0.6, seed: int = 0) -> dict[str, Any]:
    evaluation = {"eval_set": "mr-lung", "split": "search", "exposure": "held_out", "accuracy": accuracy, "n": 10}
    return {
        "kind": "trial", "stage": "single", "status": "finished", "composition": {"ct-lung": 4},
        "recipe": {"learning_rate": 0.01}, "train_id": f"seed {seed}",
        "evaluations": [evaluation],
    }  # fmt: skip


SUGGESTION = {"kind": "suggestion", "proposal_index": 0}


@pytest.mark.parametrize(
    ("records", "is_first"),
    [
        ([], True),
        ([single()], True),
        ([single(), SUGGESTION, single(seed=1)], True),
        ([SUGGESTION], False),
        ([SUGGESTION, single()], False),
    ],
)
def test_the_matrix_is_first_and_known_unless_the_search_began_without_it(
    tmp_path: Path, records: list[dict[str, Any]], is_first: bool
) -> None:
    assert is_matrix_first(records) == is_first
    spec = open_study(tmp_path).spec
    known = known_results(spec, records)
    num_singles = sum(record["kind"] == "trial" for record in records)
    assert len(known) == (num_singles if is_first else 0)


def test_a_source_that_another_study_has_trained_is_known_once(tmp_path: Path) -> None:
    spec = open_study(tmp_path).spec
    assert len(known_results(spec, [{**single(), "stage": "reused"}, single()])) == 1
