"""The table of all trials."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from search.evidence.trials_table import TRIAL_COLUMNS, trials_frame, write_trials_parquet
from search.ledger.records import training_size
from tests.makers.records import KEYS, MadeUpStudy

TARGET = ("ct-lung-nodule", "search")
OTHER = ("us-breast-mass", "search")
PROMISED = [
    "train_id",
    "score_id",
    "rung",
    "stage",
    "arm",
    "strategy",
    "composition",
    "recipe",
    "seed",
    "eval_set",
    "modality",
    "area",
    "task",
    "ability",
    "exposure",
    "split",
    "n",
    "correct",
    "accuracy",
    "generation_accuracy",
    "invalid",
    "ci_low",
    "ci_high",
    "gain",
    "cg_gain",
    "num_train_samples",
    "num_steps",
    "train_s",
    "eval_s",
    "startup_s",
    "status",
]


def study() -> MadeUpStudy:
    made = MadeUpStudy()
    made.add("baseline", "baseline", {}, {TARGET: 0.5, OTHER: 0.25})
    for seed, accuracy in ((0, 0.6), (1, 0.7)):
        made.add("control", f"control:{TARGET[0]}", {"us-breast-mass": 100}, {TARGET: accuracy, OTHER: 0.9}, seed=seed)
    made.add("search", "search", {"ct-brain-bleed": 60, "mr-brain-tumor": 40}, {TARGET: 0.7, OTHER: 0.5}, seed=1)
    made.add("search", "search", {"ct-brain-bleed": 100}, {TARGET: 0.65}, seed=7, proposal_index=3)
    made.add("search", "search", {"mr-brain-tumor": 50}, {TARGET: 0.65}, seed=1)
    made.add("search", "search", {"mr-brain-tumor": 100}, {}, status="oom", error="out of memory")
    return made


def only(frame: pd.DataFrame, **values: object) -> pd.Series:
    for column, value in values.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


SINCE_SLOTS = ["slot", "pack_size", "queue_s", "data_s", "score_s", "checkpoint_s"]


SINCE_MARKS = ["score", "free_answers"]


def test_columns_are_those_promised() -> None:
    frame = trials_frame(study().records, KEYS)
    assert list(frame.columns) == [*PROMISED, "proposal_index", *SINCE_SLOTS, *SINCE_MARKS] == list(TRIAL_COLUMNS)
    assert len(frame) == 11


def test_gains_are_differences_to_the_baseline_and_to_the_matched_control() -> None:
    made = study()
    frame = trials_frame(made.records, KEYS)
    accuracy = {(r["arm"], r["seed"]): r["evaluations"][0]["accuracy"] for r in made.records[:3]}
    control = f"control:{TARGET[0]}"
    same_seed = only(frame, composition='{"ct-brain-bleed":60,"mr-brain-tumor":40}', eval_set=TARGET[0])
    assert same_seed["gain"] == pytest.approx(same_seed["accuracy"] - accuracy["baseline", 0])
    assert same_seed["cg_gain"] == pytest.approx(same_seed["accuracy"] - accuracy[control, 1])
    other_seed = only(frame, composition='{"ct-brain-bleed":100}')
    mean = (accuracy[control, 0] + accuracy[control, 1]) / 2
    assert other_seed["cg_gain"] == pytest.approx(other_seed["accuracy"] - mean)
    assert other_seed["proposal_index"] == 3


def test_no_control_of_the_same_size_or_for_the_target_means_no_cg_gain() -> None:
    frame = trials_frame(study().records, KEYS)
    assert pd.isna(only(frame, composition='{"mr-brain-tumor":50}', eval_set=TARGET[0])["cg_gain"])
    assert frame[frame["eval_set"] == OTHER[0]]["cg_gain"].isna().all()
    assert frame[frame["stage"].isin(["baseline", "control"])]["cg_gain"].isna().all()
    assert (frame[frame["stage"] == "baseline"]["gain"] == 0).all()


def test_a_control_of_another_recipe_or_split_does_not_count() -> None:
    made = MadeUpStudy()
    made.add("control", "control:us-breast-mass", {"ct-lung-nodule": 100}, {OTHER: 0.6}, recipe={"lora_rank": 8})
    made.add("search", "search", {"mr-brain-tumor": 100}, {OTHER: 0.6}, recipe={"lora_rank": 4})
    made.add("search", "search", {"mr-brain-tumor": 100}, {(OTHER[0], "confirm"): 0.6}, recipe={"lora_rank": 8}, seed=2)
    assert trials_frame(made.records, KEYS)["cg_gain"].isna().all()


def test_a_control_of_another_micro_batch_counts() -> None:
    made = MadeUpStudy()
    before: dict[str, int] = {"lora_rank": 8}  # of a study that was begun before, and resumed on two cards
    for seed, micro_batch_size in ((0, None), (1, 4)):
        recipe = before | {"micro_batch_size": micro_batch_size}
        made.add("control", f"control:{OTHER[0]}", {"ct-lung-nodule": 100}, {OTHER: 0.6}, recipe=recipe, seed=seed)
    made.add("search", "search", {"mr-brain-tumor": 100}, {OTHER: 0.6}, recipe=before)
    made.add("search", "search", {"mr-brain-tumor": 100}, {OTHER: 0.6}, recipe=before | {"micro_batch_size": 8}, seed=1)
    frame = trials_frame(made.records, KEYS)
    assert list(frame[frame["stage"] == "search"]["cg_gain"].notna()) == [True, True]
    assert len({training_size(record) for record in made.records}) == 1


def test_a_failed_trial_is_one_row_without_scores() -> None:
    row = only(trials_frame(study().records, KEYS), status="oom")
    assert row["composition"] == '{"mr-brain-tumor":100}'
    empty = ["score_id", "eval_set", "modality", "n", "accuracy", "ci_low", "gain", "cg_gain", "eval_s"]
    assert row[empty].isna().all()


def test_a_failed_attempt_that_finished_later_and_repeated_scores_are_left_out() -> None:
    made = MadeUpStudy()
    made.add("search", "search", {"mr-brain-tumor": 100}, {}, status="timeout")
    first = made.add("search", "search", {"mr-brain-tumor": 100}, {OTHER: 0.6})
    made.add("search", "search", {"mr-brain-tumor": 100}, {OTHER: 0.6, TARGET: 0.5})
    frame = trials_frame(made.records, KEYS)
    assert list(frame["eval_set"]) == [TARGET[0], OTHER[0]]
    assert set(frame["train_id"]) == {first["train_id"]}


def test_keys_and_intervals_stand_beside_the_scores() -> None:
    row = only(trials_frame(study().records, KEYS), stage="baseline", eval_set=OTHER[0])
    assert list(row[["modality", "area", "task", "ability"]]) == ["US", "breast", "mass", "none"]
    assert row["ci_low"] < row["accuracy"] < row["ci_high"]
    assert row["correct"] / row["n"] == row["accuracy"]


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    records = study().records
    write_trials_parquet(trials_frame(records, KEYS), tmp_path / "one.parquet")
    random.Random(0).shuffle(records)
    write_trials_parquet(trials_frame(records, dict(reversed(KEYS.items()))), tmp_path / "other.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "other.parquet"]


def test_no_trials_make_an_empty_table_of_the_same_types(tmp_path: Path) -> None:
    write_trials_parquet(trials_frame([], KEYS), tmp_path / "none.parquet")
    write_trials_parquet(trials_frame(study().records, KEYS), tmp_path / "some.parquet")
    none, some = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("none", "some"))
    assert none.num_rows == 0
    assert none.schema == some.schema
    assert pd.read_parquet(tmp_path / "some.parquet")["n"].dropna().eq(200).all()


def test_other_records_are_ignored() -> None:
    assert trials_frame([{"kind": "writer", "epoch": 1}, {"kind": "suggestion"}], KEYS).empty


def test_arms_stand_in_the_order_of_their_numbers() -> None:
    made = MadeUpStudy()
    for index in (10, 2, 1):
        made.add("search", f"proposal-{index}", {"ct-brain-bleed": index}, {TARGET: 0.5}, proposal_index=index)
    assert trials_frame(made.records, KEYS)["arm"].tolist() == ["proposal-1", "proposal-2", "proposal-10"]
