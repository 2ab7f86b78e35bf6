from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.matrix.verdicts import NO_CLAIM
from search.report.figures.heatmap import compute_transfer_heatmap, interval_note
from search.report.figures.heatmap_drawing import draw_transfer_heatmap
from search.report.run_files import RunRecords
from tests.search.report.fixture_run import SELECTED, SUBSETS, TARGETS


def _with_transfer(records: RunRecords, rows: Sequence[Mapping[str, Any]]) -> RunRecords:
    defaults = {
        "source": "a", "target": "x", "shared_elements": "", "gain": 0.1, "cg_gain": None, "ci_low": 0.05,
        "ci_high": 0.15, "n": 100, "seeds": 1, "split": "search", "estimator": "single",
        "verdict": "better", "gain_verdict": "better", "confidence": 0.98, "gain_confidence": 0.98,
    }  # fmt: skip
    frame = pd.DataFrame([{**defaults, **row} for row in rows])
    return RunRecords(
        run_dir=records.run_dir, run={}, study={}, selection=None, trials=records.trials, transfer=frame, missing=()
    )


def test_every_source_and_target_has_its_cell(records: RunRecords) -> None:
    heatmap = compute_transfer_heatmap(records)
    assert set(heatmap.sources) == set(SUBSETS)
    assert set(heatmap.targets) == set(TARGETS)
    assert len(heatmap.cells) == len(SUBSETS) * len(TARGETS)
    assert heatmap.num_without_cell == 0
    assert heatmap.selected == frozenset(SELECTED)


def test_cells_carry_the_numbers_of_the_file(records: RunRecords) -> None:
    cells = compute_transfer_heatmap(records).cells.set_index(["source", "target"]).sort_index()
    row = records.transfer.iloc[5]
    cell = cells.loc[(row["source"], row["target"])]
    assert cell["cg_gain"] == pytest.approx(100 * row["cg_gain"])
    assert cell["cg_gain_clear"] == (row["ci_low"] > 0 or row["ci_high"] < 0)
    assert cell["gain_interval"] == "no interval", "the file's interval is of the CG gain"


def test_what_is_not_told_from_0_is_in_brackets(records: RunRecords) -> None:
    nothing = {"ci_low": -0.01, "verdict": "no difference detected"}
    rows: list[dict[str, Any]] = [{"target": "x", **nothing}, {"target": "y"}]
    cells = compute_transfer_heatmap(_with_transfer(records, rows)).cells
    assert cells["gain_label"].tolist() == ["(+10.0)", "+10.0"]
    assert cells["gain_clear"].tolist() == [False, True]


def test_like_rows_become_neighbours(records: RunRecords) -> None:
    profile = {"a": (0.3, 0.0), "b": (0.0, 0.3), "c": (0.29, 0.01), "d": (0.01, 0.28)}
    rows = [
        {"source": source, "target": target, "gain": value}
        for source, values in profile.items()
        for target, value in zip("xy", values, strict=True)
    ]
    order = compute_transfer_heatmap(_with_transfer(records, rows)).sources
    assert abs(order.index("a") - order.index("c")) == 1
    assert abs(order.index("b") - order.index("d")) == 1


def test_the_least_biased_estimator_is_shown(records: RunRecords) -> None:
    rows = [{"estimator": "adaptive", "gain": 0.5}, {"estimator": "random", "gain": 0.2}]
    heatmap = compute_transfer_heatmap(_with_transfer(records, rows))
    assert heatmap.estimators == ("random",)
    assert heatmap.cells["gain"].tolist() == [pytest.approx(20)]


def test_splits_are_not_mixed(records: RunRecords) -> None:
    rows = [{"source": "a"}, {"source": "b"}, {"source": "c", "split": "sealed"}]
    heatmap = compute_transfer_heatmap(_with_transfer(records, rows))
    assert heatmap.split == "search"
    assert set(heatmap.sources) == {"a", "b"}


@given(
    gains=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"), st.floats(-1, 1) | st.none()), max_size=18
    )
)
def test_ordering_is_a_permutation_and_the_scale_covers_every_cell(
    records: RunRecords, gains: list[tuple[str, str, float | None]]
) -> None:
    rows = [{"source": s, "target": t, "gain": g} for s, t, g in gains] or [{"gain": None}]
    heatmap = compute_transfer_heatmap(_with_transfer(records, rows))
    assert sorted(heatmap.sources) == sorted({str(row.get("source", "a")) for row in rows})
    assert sorted(heatmap.targets) == sorted({str(row.get("target", "x")) for row in rows})
    known = heatmap.cells["gain"].dropna()
    assert (known.abs() <= heatmap.limit).all()


def test_the_scale_is_centred_at_0(records: RunRecords) -> None:
    heatmap = compute_transfer_heatmap(records)
    spec = draw_transfer_heatmap(heatmap, width=400).to_dict()
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [{"expr": "-limit"}, 0, {"expr": "limit"}]
    (limit,) = [param for param in spec["params"] if param["name"] == "limit"]
    assert limit["expr"] == f"indexof(measure, 'way') >= 0 ? {heatmap.way_limit} : {heatmap.limit}"


def test_the_switch_appears_only_with_both_measures(records: RunRecords) -> None:
    both = draw_transfer_heatmap(compute_transfer_heatmap(records), width=400).to_dict()
    only_gain = compute_transfer_heatmap(_with_transfer(records, [{"source": "a"}, {"source": "b"}]))
    assert "bind" in str(both["params"])
    assert "bind" not in str(draw_transfer_heatmap(only_gain, width=400).to_dict()["params"])


def test_training_on_the_targets_own_key_is_marked(records: RunRecords) -> None:
    rows = [{"source": "a", "exposure": "in_domain"}, {"source": "b", "exposure": "held_out"}]
    cells = compute_transfer_heatmap(_with_transfer(records, rows)).cells.set_index("source")
    assert cells["gain_label"].to_dict() == {"a": "+10.0†", "b": "+10.0"}


def test_each_measure_has_its_own_interval(records: RunRecords) -> None:
    rows: list[dict[str, Any]] = [
        {"cg_gain": 0.02, "ci_low": -0.03, "ci_high": 0.07, "gain_ci_low": 0.05, "gain_ci_high": 0.15}
    ]
    rows[0]["verdict"] = "no difference detected"
    cell = compute_transfer_heatmap(_with_transfer(records, rows)).cells.iloc[0]
    assert (cell["cg_gain_interval"], cell["gain_interval"]) == ("−3.0 to +7.0", "+5.0 to +15.0")
    assert (cell["cg_gain_clear"], cell["gain_clear"]) == (False, True)


def test_a_cell_without_training_noise_claims_nothing_and_says_so(records: RunRecords) -> None:
    unknown = {"ci_low": None, "ci_high": None, "verdict": NO_CLAIM, "gain_verdict": NO_CLAIM, "confidence": None}
    heatmap = compute_transfer_heatmap(_with_transfer(records, [{**unknown, "gain_confidence": None}]))
    cell = heatmap.cells.iloc[0]
    assert (cell["gain_label"], cell["gain_interval"], cell["gain_clear"]) == ("(+10.0)?", "no interval", False)
    assert cell["gain_verdict"] == NO_CLAIM
    assert heatmap.num_without_claim == 1
    assert interval_note(heatmap).startswith("No intervals and no claims")


def test_the_note_says_how_wide_intervals_are(records: RunRecords) -> None:
    assert "The intervals (98.0\u00a0%) hold questions and training seeds" in interval_note(
        compute_transfer_heatmap(_with_transfer(records, [{}]))
    )
