"""What a trial's row opens to."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from search.evidence.groups.trial_classes import RARE
from search.report.run_files import RunRecords
from search.report.sections.trial_details import MAX_FLAT_LINES, TrialDetails, compute_trial_details
from tests.search.report.fixture_run import RECIPE, SELECTED


def details_of(records: RunRecords, arm: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    train_id = records.trials.loc[records.trials["arm"] == arm, "train_id"].iloc[0]
    return {table.title: table.rows for table in compute_trial_details(records, [train_id]).tables[train_id]}


def test_a_trial_opens_to_all_that_it_was_and_did(records: RunRecords) -> None:
    found = details_of(records, "finalist-1")
    assert {row[0] for row in found["Composition"]} == set(SELECTED)
    assert {row[0] for row in found["Recipe"]} == set(RECIPE)
    assert {row[1] for row in found["Scores"]} == {"confirm"}
    rows = records.trials[(records.trials["arm"] == "finalist-1") & (records.trials["split"] == "confirm")]
    assert f"{100 * rows.iloc[0]['accuracy']:.1f}\N{NO-BREAK SPACE}%" in {row[2] for row in found["Scores"]}
    by_class = [row for row in found["Right answers by class"] if row[0] == rows.iloc[0]["eval_set"]]
    assert sum(int(right) for *_, right, _ in by_class) == rows.iloc[0]["correct"]


def test_few_rare_answers_say_only_how_many_they_are(records: RunRecords) -> None:
    classes = records.trial_classes
    for n, right in ((2, "–"), (40, "1")):
        rare = classes.drop_duplicates("train_id").assign(label=RARE, correct=1, n=n)
        found = details_of(replace(records, trial_classes=rare), "finalist-1")
        assert found["Right answers by class"][0][2:] == (RARE, right, str(n))


def test_what_does_not_exist_has_no_table(records: RunRecords) -> None:
    assert set(details_of(records, "search-5")) == {"Composition", "Recipe"}, "it ran out of memory"
    assert set(details_of(records, "baseline")) == {"Scores", "Right answers by class"}


def test_rungs_are_told_apart_from_the_end(records: RunRecords) -> None:
    rung = records.trials[records.trials["arm"] == "search-3"].assign(rung=20, accuracy=0.125)
    with_rung = replace(records, trials=pd.concat([records.trials, rung], ignore_index=True))
    found = details_of(with_rung, "search-3")
    assert [row[0] for row in found["Rungs"]] == ["20"] * len(rung)
    assert {row[3] for row in found["Rungs"]} == {"12.5\N{NO-BREAK SPACE}%"}
    assert len(found["Scores"]) == len(rung)


def test_headings_are_said_once(records: RunRecords) -> None:
    details = compute_trial_details(records, records.trials["train_id"].unique())
    packed = details.as_json()
    assert len(packed["heads"]) <= 5
    for train_id, tables in details.tables.items():
        told = [(*packed["heads"][head], rows) for head, rows in packed["trials"][train_id]]
        assert told == [(t.title, list(t.columns), [list(row) for row in t.rows]) for t in tables]


def test_a_flat_page_of_a_large_study_leaves_the_long_tables_out(records: RunRecords) -> None:
    details = compute_trial_details(records, records.trials["train_id"].unique())
    assert details.for_flat_page() == details.tables
    large = TrialDetails(tables=details.tables, num_lines=MAX_FLAT_LINES + 1)
    titles = {table.title for tables in large.for_flat_page().values() for table in tables}
    assert titles == {"Composition", "Recipe"}
