"""Classes, groups, forgetting, luck and effects reach the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from search.evidence.groups.class_results import num_groups
from search.report.figures.forest import compute_effect_rows
from search.report.figures.reliability import compute_reliability
from search.report.run_files import RunRecords, load_run
from search.report.sections.answer import compute_answer
from search.report.sections.effects import compute_effect_table
from search.report.sections.subgroups import (
    CLASS_COLUMNS,
    RELIABILITY_COLUMNS,
    STRATUM_COLUMNS,
    compute_finding_tables,
)
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


def test_the_answer_says_what_luck_has_added(records: RunRecords) -> None:
    text = " ".join(compute_answer(records).luck)
    assert "the best of 12 trials scored 74.0" in text
    assert "about 4.0 points of that may be luck" in text
    assert "68.4\N{NO-BREAK SPACE}% is expected once the 0.6 points that choosing adds are taken off" in text


def test_tables_hold_every_class_group_and_loss(records: RunRecords) -> None:
    tables = compute_finding_tables(records)
    assert len(tables.class_rows) == 4
    assert "0.812" in tables.class_rows[0]
    assert [row[2] for row in tables.stratum_rows] == ["north", "south"]
    assert tables.rare_classes[0].endswith("2 further answers with 7 questions in all: too few to say.")
    assert tables.retained_rows[0][-1] == "worse"
    assert "4.3" in tables.calibration[0]


def test_what_is_too_small_says_its_size_and_nothing_else(records: RunRecords) -> None:
    findings = dict(records.findings or {})
    stratum = {**findings["strata"][0], "n": 40}
    sizes: list[dict[str, Any]] = [{"num_groups": None}, {"num_groups": 5}, {"num_groups": 4}, {"n": 9}]
    findings["strata"] = [{**stratum, **size} for size in sizes]
    rows = compute_finding_tables(replace(records, findings=findings)).stratum_rows
    assert [row[4] for row in rows] == ["70.0\N{NO-BREAK SPACE}%"] * 2 + ["too few to say"] * 2
    assert [row[-2:] for row in rows] == [("40", "–"), ("40", "5"), ("40", "4"), ("9", "–")]
    assert [row[5] for row in rows][2:] == ["–", "–"]


def test_bins_of_the_reliability_curve_say_their_n(records: RunRecords) -> None:
    rows = compute_finding_tables(records).reliability_rows
    assert len(rows) == 24
    assert [row[4] for row in rows if row[-2] == "4"] == ["too few to say"] * 4
    assert {row[-3:] for row in rows if row[-2] == "4"} == {("12", "4", "4"), ("12", "4", "–")}
    curve = compute_reliability(records)
    assert curve.eval_sets[0] == "all together"
    assert (~curve.rows["told"]).sum() == 4
    assert compute_reliability(replace(records, findings=None)).rows.empty


def test_images_are_not_called_patients() -> None:
    """Where patients are unknown a cluster is a shared image, or a question alone."""
    for columns in (CLASS_COLUMNS, STRATUM_COLUMNS, RELIABILITY_COLUMNS):
        assert columns[-1] == "clusters"
        assert "patients" not in columns
    assert num_groups(["a", "b", "c", "d"], {"a": "image 1", "b": "image 1"}) == 3


def test_effects_are_ordered_and_their_words_are_not_claims(records: RunRecords) -> None:
    rows = compute_effect_rows(records)
    assert list(rows["difference"]) == sorted(rows["difference"], reverse=True)
    assert set(rows["verdict"]) == {"adds", "not clear", "takes away"}
    assert compute_effect_table(records)[0][0] == "added to the selection"


def test_the_page_shows_them_and_does_without(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    page = write_report(RunDir(run_dir)).read_text(encoding="utf-8")
    for part in ("What it costs elsewhere", "Class by class", "Group by group", "What each subset adds", "luck"):
        assert part in page
    (run_dir / "report" / "findings.json").unlink()
    (run_dir / "report" / "explanation.json").unlink()
    page = write_report(RunDir(run_dir)).read_text(encoding="utf-8")
    for part in ("Class by class", "Group by group"):
        assert part not in page
    assert load_run(RunDir(run_dir)).missing == ()
