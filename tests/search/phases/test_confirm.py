"""An arm of the confirmation stays one composition, whatever a later version thinks of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.ledger.records import finalist_arm
from search.phases.confirm import with_begun
from search.space.candidate import Candidate
from search.space.composition import Composition
from tests.makers.study_fixture import open_study


def candidate(num_samples: int) -> Candidate:
    return Candidate(Composition({"ct-lung": num_samples}), {"learning_rate": 0.01})


def begun(rank: int, num_samples: int) -> dict[str, Any]:
    return {
        "kind": "trial", "stage": "confirm", "arm": finalist_arm(rank), "composition": {"ct-lung": num_samples},
        "recipe": {"learning_rate": 0.01, "num_steps": 2},
    }  # fmt: skip


def test_finalists_that_have_begun_keep_their_ranks(tmp_path: Path) -> None:
    spec = open_study(tmp_path).spec
    assert tuple(spec.space.recipe.dimensions) == ("learning_rate",)
    best = [candidate(n) for n in (1, 2, 3, 4)]
    assert with_begun(best, [], spec) == best
    assert with_begun(best, [begun(1, 1), begun(2, 2)], spec) == best
    assert with_begun(best, [begun(1, 3)], spec) == [candidate(n) for n in (3, 1, 2, 4)]
    assert with_begun(best, [begun(2, 9), begun(2, 9)], spec) == [candidate(n) for n in (1, 9, 2, 3, 4)]
    assert with_begun(best, [{"arm": "best-single"}], spec) == best
