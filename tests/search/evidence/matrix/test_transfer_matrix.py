"""The transfer matrix."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.catalog.keys import load_task_map
from datasets_spec.errors import UserError
from search.evidence.matrix.transfer_matrix import (
    TRANSFER_COLUMNS,
    compute_transfer,
    normalised,
    write_transfer_csv,
)
from search.evidence.matrix.verdicts import NO_CLAIM
from search.evidence.outcomes import Outcomes
from search.evidence.spreadsheet import safe_cell
from tests.makers.records import KEYS, MadeUpStudy

TARGET = "ct-lung-nodule"
SOURCES = {"ct-brain-bleed": 0.75, "mr-brain-tumor": 0.6, "us-breast-mass": 0.45}


def study(*, with_controls: bool = True) -> MadeUpStudy:
    made = MadeUpStudy(num_questions=300)
    place = (TARGET, "search")
    made.add("baseline", "baseline", {}, {place: 0.5})
    for seed in (0, 1, 2):
        for source, accuracy in SOURCES.items():
            made.add("single", "single", {source: 100}, {place: accuracy}, seed=seed)
        if with_controls:
            made.add(
                "control", f"control:{TARGET}", {"us-breast-mass": 60, "mr-brain-tumor": 40}, {place: 0.6}, seed=seed
            )
    return made


def matrix(made: MadeUpStudy, split: str = "search") -> pd.DataFrame:
    identity = load_task_map("identity")
    return compute_transfer(made.records, Outcomes(made.load), KEYS, identity, [TARGET, "mr-brain-tumor"], split)


def test_gains_and_intervals_follow_what_was_planted() -> None:
    frame = matrix(study()).set_index("source")
    assert set(frame["target"]) == {TARGET}
    helps, nothing, harms = frame.loc["ct-brain-bleed"], frame.loc["mr-brain-tumor"], frame.loc["us-breast-mass"]
    assert helps["gain"] == pytest.approx(0.25, abs=0.1)
    assert helps["cg_gain"] == pytest.approx(0.15, abs=0.1)
    assert helps["ci_low"] > 0
    assert nothing["ci_low"] < 0 < nothing["ci_high"]
    assert harms["ci_high"] < 0
    assert (frame["ci_low"] < frame["cg_gain"]).all()
    assert (frame["cg_gain"] < frame["ci_high"]).all()


def test_figures_can_be_recomputed_from_the_records() -> None:
    made = study()
    frame = matrix(made).set_index("source")
    by_arm: dict[str, list[float]] = {}
    for record in made.records:
        name = record["arm"] if record["stage"] != "single" else next(iter(record["composition"]))
        by_arm.setdefault(name, []).append(record["evaluations"][0]["accuracy"])
    mean = {name: sum(values) / len(values) for name, values in by_arm.items()}
    for source in SOURCES:
        assert frame.loc[source, "gain"] == pytest.approx(mean[source] - mean["baseline"])
        assert frame.loc[source, "cg_gain"] == pytest.approx(mean[source] - mean[f"control:{TARGET}"])
    assert list(frame.loc["ct-brain-bleed", ["n", "seeds", "split", "estimator"]]) == [300, 3, "search", "single"]
    assert frame.loc["ct-brain-bleed", "shared_elements"] == "modality"
    assert frame.loc["mr-brain-tumor", "shared_elements"] == ""


def test_without_controls_the_interval_is_that_of_the_gain() -> None:
    frame = matrix(study(with_controls=False))
    assert frame["cg_gain"].isna().all()
    assert (frame["ci_low"] == frame["gain_ci_low"]).all()
    assert (frame["ci_low"] < frame["gain"]).all()


def test_the_way_to_perfect_is_that_of_both_measures() -> None:
    frame = matrix(study())
    before = frame["accuracy"] - frame["gain"]
    assert frame["normalised_gain"].tolist() == pytest.approx((frame["gain"] / (1 - before)).tolist())
    control = frame["accuracy"] - frame["cg_gain"]
    assert frame["normalised_cg_gain"].tolist() == pytest.approx((frame["cg_gain"] / (1 - control)).tolist())


@given(before=st.floats(0, 1), after=st.floats(0, 1))
def test_no_way_leads_beyond_perfect(before: float, after: float) -> None:
    share = normalised(before, after)
    if share is None:
        assert before == pytest.approx(1)
    else:
        assert share <= 1 + 1e-6
        assert before + share * (1 - before) == pytest.approx(after)


def once(
    *, repeated: tuple[str, ...] = (), seeds: tuple[int, ...] = (11, 12, 13), seed_sd: float = 0.01
) -> MadeUpStudy:
    """Every source once, as a study's defaults have it; some repeated."""
    made = MadeUpStudy(num_questions=300, seed_sd=seed_sd)
    place = (TARGET, "search")
    made.add("baseline", "baseline", {}, {place: 0.5})
    for source, accuracy in SOURCES.items():
        for seed in (0, *(seeds if source in repeated else ())):
            made.add("single", f"single:{source}", {source: 100}, {place: accuracy}, seed=seed)
    made.add("control", f"control:{TARGET}", {"us-breast-mass": 60, "mr-brain-tumor": 40}, {place: 0.6})
    return made


def test_without_repeated_trainings_no_cell_claims_anything() -> None:
    frame = matrix(once())
    assert frame["gain"].notna().all()
    assert set(frame["verdict"]) == set(frame["gain_verdict"]) == {NO_CLAIM}
    nothing = ["ci_low", "ci_high", "gain_ci_low", "gain_ci_high", "p_value", "q_value", "training_noise"]
    assert frame[nothing].isna().all().all()


def test_a_repeated_source_lends_its_noise_to_the_others() -> None:
    quiet = matrix(once(repeated=("mr-brain-tumor",))).set_index("source")
    loud = matrix(once(repeated=("mr-brain-tumor",), seed_sd=0.15)).set_index("source")
    assert quiet.loc["ct-brain-bleed", "gain_verdict"] == "better"
    assert (quiet["training_noise_freedom"] == 3).all()
    assert (loud["training_noise"] > quiet["training_noise"]).all()
    width = {name: frame["gain_ci_high"] - frame["gain_ci_low"] for name, frame in (("q", quiet), ("l", loud))}
    assert (width["l"] > width["q"]).all()


def test_repeated_trials_of_the_search_lend_their_noise_too() -> None:
    made = once()
    for seed in (0, 1):
        made.add(
            "search", "proposal-0", {"ct-brain-bleed": 50, "us-breast-mass": 50}, {(TARGET, "search"): 0.6}, seed=seed
        )
    assert NO_CLAIM not in set(matrix(made)["verdict"])


@pytest.mark.parametrize("seed_sd", [0.0, 0.03, 0.15])
def test_an_interval_excludes_zero_exactly_where_the_verdict_says_so(seed_sd: float) -> None:
    frame = matrix(once(repeated=tuple(SOURCES), seed_sd=seed_sd))
    for low, high, verdict in (("ci_low", "ci_high", "verdict"), ("gain_ci_low", "gain_ci_high", "gain_verdict")):
        excludes = (frame[low] > 0) | (frame[high] < 0)
        assert (excludes == frame[verdict].isin(["better", "worse"])).all()


def test_controls_of_another_size_are_not_used() -> None:
    made = study(with_controls=False)
    made.add("control", f"control:{TARGET}", {"us-breast-mass": 99}, {(TARGET, "search"): 0.6})
    assert matrix(made)["cg_gain"].isna().all()


def test_single_sources_of_several_micro_batches_are_one_arm() -> None:
    made = study()
    for record in made.records:
        record["recipe"] = {"lora_rank": 8, "micro_batch_size": None if record["seed"] == 0 else 4}
    pd.testing.assert_frame_equal(matrix(made), matrix(study()))


def test_nothing_to_show_is_an_empty_table() -> None:
    frame = matrix(study(), split="confirm")
    assert frame.empty
    assert list(frame.columns) == list(TRANSFER_COLUMNS)


def test_outcomes_that_contradict_the_ledger_are_refused() -> None:
    made = study()
    made.outcomes["trials/1"]["correct"] = ~made.outcomes["trials/1"]["correct"]
    with pytest.raises(UserError, match="trials/1 are not those the ledger records"):
        matrix(made)


def test_csv_is_canonical_and_cannot_run_formulas(tmp_path: Path) -> None:
    frame = matrix(study())
    frame.loc[0, "source"] = "=HYPERLINK(1)"
    write_transfer_csv(frame, tmp_path / "transfer.csv")
    with (tmp_path / "transfer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["source"] == "'=HYPERLINK(1)"
    assert list(rows[0]) == list(TRANSFER_COLUMNS)
    assert float(rows[2]["gain"]) == frame.loc[2, "gain"]
    assert [safe_cell(v) for v in ("+1", "-x", "@a", "\tb", "ok", -0.5)] == ["'+1", "'-x", "'@a", "'\tb", "ok", -0.5]
    before = (tmp_path / "transfer.csv").read_bytes()
    write_transfer_csv(frame, tmp_path / "transfer.csv")
    assert (tmp_path / "transfer.csv").read_bytes() == before


def test_no_interval_reaches_beyond_what_accuracies_can_differ_by() -> None:
    frame = matrix(once(repeated=("mr-brain-tumor",), seeds=(11,), seed_sd=0.15))  # one degree of freedom
    assert (frame["ci_low"] >= -1).all()
    assert (frame["ci_high"] <= 1).all()
