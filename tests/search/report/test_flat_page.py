"""The page without scripts."""

from __future__ import annotations

import html
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from search.report.figures.all_figures import build_figures
from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.page import render_page
from search.report.run_files import RunRecords, load_run
from search.report.sections.trial_details import compute_trial_details
from search.report.sections.trials import compute_trial_table
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run
from tests.search.report.test_write import FIGURES, HOSTILE, REASONS, parse


class _Tables(HTMLParser):
    """The texts of tables, row by row, the heading first."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.is_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.is_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.is_cell = self.is_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.tables[-1][-1][-1] += data.strip("\n")


def tables_of(page: Path) -> list[list[list[str]]]:
    parser = _Tables()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.tables


def _without(tables: list[list[list[str]]], columns: set[str]) -> list[list[list[str]]]:
    """Of the tables that have all of these columns, the others."""
    kept = []
    for table in tables:
        left_out = {place for place, name in enumerate(table[0]) if name in columns}
        is_one = len(left_out) == len(columns)
        kept.append([[cell for place, cell in enumerate(row) if not (is_one and place in left_out)] for row in table])
    return kept


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = RunDir(write_run(tmp_path_factory.mktemp("flat") / "run", rename=HOSTILE, reasons=REASONS))
    write_report(run, is_flat=True)
    return run / "report" / "flat.html"


def test_nothing_on_it_runs_and_every_picture_is_in_it(flat: Path) -> None:
    parsed = parse(flat)
    assert "script" not in parsed.tags
    assert parsed.events == []
    assert not {"img", "iframe", "object", "button", "select", "noscript"} & set(parsed.tags)
    assert parsed.tags.count("svg") == len(FIGURES)
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert "script-src 'none'" in html.unescape(flat.read_text(encoding="utf-8"))


def test_no_two_elements_share_a_name(flat: Path) -> None:
    ids = parse(flat).ids
    assert len(ids) == len(set(ids))


def test_every_trial_opens_without_a_script(flat: Path) -> None:
    text = flat.read_text(encoding="utf-8")
    assert "Trial by trial" in text
    for title in ("Composition", "Recipe", "Scores", "Right answers by class"):
        assert f"<h4>{title}</h4>" in text
    assert "The matrix as a table" in text


def test_it_holds_every_table_of_the_page_with_scripts(flat: Path) -> None:
    here, there = tables_of(flat), tables_of(flat.with_name("index.html"))
    ours = _without(here, {"accuracy", "untrained", "control", "behind the best"})
    assert len(there) > 10
    assert [table[0] for table in there if table not in ours] == []
    (matrix,) = [table for table in here if {"source", "untrained", "control"} <= set(table[0])]
    accuracies = [
        f"{100 * value:.1f}\N{NO-BREAK SPACE}%" for value in load_run(RunDir(flat.parents[1])).transfer["accuracy"]
    ]
    assert sorted(row[matrix[0].index("accuracy")] for row in matrix[1:]) == sorted(accuracies)


def test_it_holds_what_every_row_opens_to(flat: Path) -> None:
    records = load_run(RunDir(flat.parents[1]))
    details = compute_trial_details(records, records.trials["train_id"].unique())
    told = tables_of(flat)
    for tables in details.tables.values():
        for table in tables:
            assert [list(table.columns), *map(list, table.rows)] in told


def test_what_a_long_study_leaves_out_is_said(records: RunRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.report.sections.trial_details.MAX_FLAT_LINES", 100)
    figures = build_figures(records)
    heatmap, trials = compute_transfer_heatmap(records), compute_trial_table(records)
    with_scripts = render_page(records, figures, heatmap, trials)
    without = render_page(records, figures, heatmap, trials, dict.fromkeys(figures, "<svg></svg>"))
    said = "scores and right answers by class of each trial are in trials.parquet"
    assert "<h4>Scores</h4>" not in without
    assert said in without
    assert said not in with_scripts


def test_nothing_of_a_young_study_waits_for_a_script(tmp_path: Path) -> None:
    """Without a figure it is a page without scripts, too."""
    run = RunDir(write_run(tmp_path / "run"))
    trials = pd.read_parquet(run / "report" / "trials.parquet")
    is_first = (trials["stage"] == "baseline") & (trials["split"] == "search")
    trials[is_first].to_parquet(run / "report" / "trials.parquet")
    for name in ("transfer.csv", "findings.json", "explanation.json", "trial_classes.parquet"):
        (run / "report" / name).unlink()
    (run / "selection" / "selection.json").unlink()
    write_report(run, is_flat=True)
    flat = run / "report" / "flat.html"
    assert not {"svg", "button", "select", "script"} & set(parse(flat).tags)
    text = flat.read_text(encoding="utf-8")
    assert "Trial by trial" in text
    assert "A row opens to" not in text


def test_a_flat_page_that_is_there_never_grows_old(tmp_path: Path) -> None:
    run = RunDir(write_run(tmp_path / "run"))
    write_report(run)
    flat = run / "report" / "flat.html"
    assert not flat.exists(), "nobody asked for it"
    flat.write_text("old")
    write_report(run)
    assert flat.read_text(encoding="utf-8").startswith("<!doctype html>")
