"""The page without scripts."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run
from tests.search.report.test_write import FIGURES, HOSTILE, REASONS, parse


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


def test_a_flat_page_that_is_there_never_grows_old(tmp_path: Path) -> None:
    run = RunDir(write_run(tmp_path / "run"))
    write_report(run)
    flat = run / "report" / "flat.html"
    assert not flat.exists(), "nobody asked for it"
    flat.write_text("old")
    write_report(run)
    assert flat.read_text(encoding="utf-8").startswith("<!doctype html>")
