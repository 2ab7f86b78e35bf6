"""What a selection is compared with: matched in samples, and blind to the targets unless it says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.phases.comparators import MAKERS, ComparatorEvidence, leaks, ranked_singles
from search.space.composition import Composition
from tests.makers.study_fixture import open_study

ROWS = {"ct-lung": 12, "ct-brain": 12, "mr-brain": 6, "mr-lung": 30, "ct-brain-new": 12, "us-heart": 12}
SINGLES = {"ct-lung": 0.9, "ct-brain": 0.6, "mr-brain": 0.7}


def scored(
    composition: Mapping[str, int],
    accuracy: float,
    *,
    stage: str = "single",
    exposure: str = "held_out",
    **other: float,
) -> dict[str, Any]:
    values = {"mr-lung": accuracy} | {name.replace("_", "-"): value for name, value in other.items()}
    scores = [
        {"eval_set": name, "split": "search", "exposure": exposure, "accuracy": value} for name, value in values.items()
    ]
    return {
        "kind": "trial",
        "stage": stage,
        "status": "finished",
        "composition": dict(composition),
        "evaluations": scores,
    }


def evidence(
    folder: Path,
    selected: Mapping[str, int],
    records: Sequence[Mapping[str, Any]] = (),
    changes: Mapping[str, Any] | None = None,
) -> ComparatorEvidence:
    return ComparatorEvidence(
        study=open_study(folder, changes),
        selected=Composition(selected),
        rows=ROWS,
        num_questions={"mr-lung": 4},
        records=records or [scored({name: 8}, accuracy) for name, accuracy in SINGLES.items()],
    )


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "target-labels"])
@pytest.mark.parametrize("selected", [{"ct-lung": 8}, {"ct-lung": 8, "ct-brain": 4}, {"ct-brain": 4, "mr-brain": 4}])
def test_every_comparator_has_the_selections_samples_and_no_held_out_key(
    tmp_path: Path, name: str, selected: Mapping[str, int]
) -> None:
    found = evidence(tmp_path, selected)
    made = MAKERS[name](found)
    if made is None:
        assert name in ("greedy", "static")  # no trial to walk through, no other evaluation set
        return
    assert made.total == sum(selected.values())
    assert not leaks(found.study, name, made)
    assert MAKERS[name](found) == made  # the same after a restart


def test_all_data_is_even_and_leaves_out_the_targets_own_key(tmp_path: Path) -> None:
    found = evidence(tmp_path, {"ct-lung": 12})
    assert MAKERS["all-data"](found) == Composition({"ct-lung": 4, "ct-brain": 4, "mr-brain": 4})
    sources = ["ct-lung", "ct-brain", "mr-brain", "mr-lung"]
    with_own = evidence(tmp_path, {"ct-lung": 12}, changes={"space.composition.sources": sources})
    assert MAKERS["all-data"](with_own) == Composition({"ct-lung": 4, "ct-brain": 4, "mr-brain": 4})


def test_a_comparator_that_has_seen_the_target_is_named_a_leak(tmp_path: Path) -> None:
    study = evidence(tmp_path, {"ct-lung": 8}).study
    assert leaks(study, "all-data", Composition({"ct-lung": 4, "mr-lung": 4})) == ["mr-lung"]
    assert leaks(study, "all-data", Composition({"ct-lung": 8})) == []
    assert leaks(study, "target-labels", Composition({"mr-lung": 4})) == []


def test_singles_are_ranked_by_their_mean_over_seeds(tmp_path: Path) -> None:
    records = [
        scored({"ct-lung": 8}, 0.9),
        scored({"ct-lung": 8}, 0.1),
        scored({"ct-brain": 8}, 0.6),
        scored({"mr-brain": 8}, 1.0, exposure="in_domain"),
        scored({"mr-brain": 8}, 1.0, stage="search"),
    ]
    found = evidence(tmp_path, {"mr-brain": 5}, records)
    assert ranked_singles(found) == ["ct-brain", "ct-lung"]
    assert MAKERS["best-single"](found) == Composition({"ct-brain": 5})
    assert MAKERS["best-single"](evidence(tmp_path, {"mr-brain": 50}, records)) == Composition({"ct-brain": 12})


def test_where_no_other_source_has_as_many_rows_a_random_one_has_nearly_as_many_or_there_is_none(
    tmp_path: Path,
) -> None:
    def made(number: int) -> Composition | None:
        found = evidence(tmp_path / str(number), {"ct-lung": number})
        return MAKERS["random-same-size"](replace(found, rows=ROWS | {"ct-lung": number}))

    assert made(13) == Composition({"ct-brain": 12})
    assert made(14) is None
    assert made(2000) is None
    everything = {"ct-lung": 9, "ct-brain": 9, "mr-brain": 6}
    assert MAKERS["random-same-size"](evidence(tmp_path / "all", everything)) != Composition(everything)


def test_additive_singles_takes_as_many_of_the_best_as_the_selection_has(tmp_path: Path) -> None:
    found = evidence(tmp_path, {"ct-brain": 4, "mr-brain": 4})
    assert MAKERS["additive-singles"](found) == Composition({"ct-lung": 4, "mr-brain": 4})


def test_greedy_walks_only_where_a_trial_has_shown_a_gain(tmp_path: Path) -> None:
    singles = [scored({name: 8}, accuracy) for name, accuracy in SINGLES.items()]
    worse = scored({"ct-lung": 4, "ct-brain": 4}, 0.8, stage="search")
    better = scored({"ct-lung": 4, "mr-brain": 4}, 0.95, stage="search")
    elsewhere = scored({"ct-brain": 4, "mr-brain": 4}, 1.0, stage="search")
    found = evidence(tmp_path, {"ct-brain": 8}, [*singles, worse, better, elsewhere])
    assert MAKERS["greedy"](found) == Composition({"ct-lung": 4, "mr-brain": 4})
    assert MAKERS["greedy"](evidence(tmp_path, {"ct-brain": 8}, [*singles, worse])) is None


def test_metadata_takes_what_shares_most(tmp_path: Path) -> None:
    # ct-lung shares area and task with mr-lung, mr-brain its modality, ct-brain nothing
    assert MAKERS["metadata"](evidence(tmp_path, {"ct-brain": 8})) == Composition({"ct-lung": 8})


def test_static_ranks_by_other_evaluation_sets_only(tmp_path: Path) -> None:
    records = [
        scored({"ct-lung": 8}, 0.9, mr_brain_time=0.2),
        scored({"ct-brain": 8}, 0.1, mr_brain_time=0.8),
    ]
    changes = {"abilities": ["mr-brain-time"], "objective": "cg"}
    found = evidence(tmp_path, {"ct-lung": 8}, records, changes)
    assert MAKERS["static"](found) == Composition({"ct-brain": 8})
    assert MAKERS["static"](evidence(tmp_path, {"ct-lung": 8})) is None


def test_target_labels_are_as_many_as_the_search_has_spent(tmp_path: Path) -> None:
    found = evidence(tmp_path, {"ct-lung": 8})
    made = MAKERS["target-labels"](found)
    assert made == Composition({"mr-lung": 4})
    assert found.study.exposures.of(made or {}, "mr-lung") == "in_domain"


def test_of_a_repeated_training_the_mean_counts_not_its_best_seed(tmp_path: Path) -> None:
    pair = scored({"ct-lung": 4, "mr-brain": 4}, 0.8, stage="search")
    once = [scored({"ct-lung": 8}, 0.7), scored({"mr-brain": 8}, 0.6), pair]
    lucky = [scored({"ct-lung": 8}, 0.95), scored({"ct-lung": 8}, 0.45), *once[1:]]  # 0.7 on average
    selected = {"ct-lung": 4, "mr-brain": 4}
    assert MAKERS["greedy"](evidence(tmp_path, selected, once)) == Composition(selected)
    assert MAKERS["greedy"](evidence(tmp_path, selected, lucky)) == Composition(selected)
