"""Per-question outcomes as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from datasets_spec.errors import UserError
from search.evidence.outcomes import Outcomes, question_groups
from search.ledger.records import of_arm
from tests.makers.records import MadeUpStudy

TARGET = "ct-lung-nodule"


def study() -> MadeUpStudy:
    made = MadeUpStudy(num_questions=40)
    for seed in (5, 2):
        made.add("confirm", "finalist-1", {"us-breast-mass": 10}, {(TARGET, "confirm"): 0.6}, seed=seed)
    made.add("baseline", "baseline", {}, {(TARGET, "confirm"): 0.5})
    return made


def test_one_row_a_seed_in_the_order_of_questions() -> None:
    made = study()
    arm = Outcomes(made.load).of_arm(of_arm(made.records, "finalist-1"), TARGET, "confirm")
    assert arm is not None
    assert arm.seeds == (2, 5)
    assert arm.right.shape == (2, 40)
    assert list(arm.sample_ids) == sorted(arm.sample_ids)
    answers = made.outcomes["trials/1"].set_index("sample_id")["correct"]  # seed 2
    assert [bool(x) for x in arm.right[0]] == [bool(answers[sample_id]) for sample_id in arm.sample_ids]
    assert arm.is_trained
    assert arm.keep_seeds(1).seeds == (2,)


def test_the_latest_record_of_a_seed_counts_and_the_backbone_is_untrained() -> None:
    made = study()
    again = made.add("sealed", "finalist-1", {"us-breast-mass": 10}, {(TARGET, "confirm"): 0.9}, seed=5)
    outcomes = Outcomes(made.load)
    arm = outcomes.of_arm(of_arm(made.records, "finalist-1"), TARGET, "confirm")
    baseline = outcomes.of_arm(of_arm(made.records, "baseline"), TARGET, "confirm")
    assert arm is not None
    assert baseline is not None
    assert int(arm.right[1].sum()) == again["evaluations"][0]["correct"]
    assert not baseline.is_trained
    assert outcomes.of_arm(of_arm(made.records, "baseline"), TARGET, "sealed") is None


def test_each_trial_is_read_once() -> None:
    made, read = study(), list[str]()

    def load(trial_dir: str) -> pd.DataFrame:
        read.append(trial_dir)
        return made.load(trial_dir)

    outcomes = Outcomes(load)
    for _ in range(3):
        outcomes.of_arm(made.records, TARGET, "confirm")
    assert len(read) == len(set(read))


def test_arms_on_different_questions_are_refused() -> None:
    made = study()
    folder = made.records[2]["trial_dir"]
    made.outcomes[folder]["sample_id"] = [f"{name}-new" for name in made.outcomes[folder]["sample_id"]]
    outcomes = Outcomes(made.load)
    arms = [outcomes.of_arm(of_arm(made.records, name), TARGET, "confirm") for name in ("finalist-1", "baseline")]
    assert arms[0] is not None
    assert arms[1] is not None
    with pytest.raises(UserError, match="different questions"):
        outcomes.paired(arms[0], arms[1], TARGET)


def test_questions_of_unknown_group_stand_alone() -> None:
    outcomes = Outcomes(study().load, {"a": "p1", "b": "p1"})
    groups = outcomes.groups_of(["a", "b", "c", "d"])
    assert groups is not None
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert outcomes.groups_of(["c", "d"]) is None


Row = tuple[str | None, list[str]]  # patient, images


def clusters_of(*sets: Sequence[Row]) -> list[str | None]:
    """The cluster of each question of these sets, by patients and images."""
    named: list[list[dict[str, Any]]] = [
        [
            {"sample_id": f"{place}/{n}", "group": group, "image_hashes": images}
            for n, (group, images) in enumerate(rows)
        ]
        for place, rows in enumerate(sets)
    ]
    store: Any = SimpleNamespace(read=lambda name, _split, columns: pa.Table.from_pylist(named[name]).select(columns))
    spec: Any = SimpleNamespace(sets_on=lambda _split: range(len(named)))
    found = question_groups(store, spec, ("confirm",))
    return [found.get(row["sample_id"]) for rows in named for row in rows]


def test_questions_that_compare_patients_are_one_cluster() -> None:
    others: list[tuple[str | None, list[str]]] = [(f"o{n}", [f"o{n}"]) for n in range(6)]
    one, two, three, other, *_ = clusters_of([("p+q", ["1", "2"]), ("p+r", ["3", "4"]), ("r", ["5"]), *others])
    assert one == two == three != other
    assert len(set(clusters_of([(None, ["a", "x"]), (None, ["b", "x"]), (None, ["a", "c"]), (None, ["b", "c"])]))) == 1


def test_a_question_is_in_a_cluster_where_its_patient_or_a_shared_image_is_known() -> None:
    patient, shared, again, alone = clusters_of([("p", ["1"]), (None, ["2"]), (None, ["2"]), (None, ["3"])])
    assert alone is None
    assert patient is not None
    assert shared == again != patient


def test_a_patient_or_an_image_of_two_sets_is_one_cluster_in_both() -> None:
    others: list[Row] = [(f"o{n}", [f"o{n}"]) for n in range(4)]
    first, image, *_, again, also, alone = clusters_of(
        [("p", ["1"]), (None, ["2"]), *others], [("p", ["3"]), (None, ["2"]), (None, ["4"])]
    )
    assert first == again != image == also is not None
    assert alone is None
