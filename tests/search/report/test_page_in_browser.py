"""Opens the page as a reader would, in headless Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.makers.chromium import needs_chromium, until, visit_page
from tests.search.report.fixture_run import write_run
from tests.search.report.test_write import HOSTILE, REASONS

pytestmark = [pytest.mark.browser, needs_chromium]

STATES = "[...document.querySelectorAll('[data-chart]')].map(e => e.dataset.state)"
DRAWINGS = "[...document.querySelectorAll('[data-chart]')].map(e => e.querySelectorAll('svg path').length)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
ACTIVE = "[document.querySelectorAll('img, iframe, object, embed').length, window.pwned === undefined]"
PHONE_WIDTH_PX = 390


@pytest.mark.parametrize(("width_px", "is_dark"), [(1280, False), (PHONE_WIDTH_PX, True)])
def test_the_page_opens_quietly_and_draws(page: Path, width_px: int, is_dark: bool) -> None:
    visit = visit_page(page, width_px=width_px, expressions=[STATES, DRAWINGS, OVERFLOW], is_dark=is_dark)
    states, drawings, overflow = visit.values
    assert visit.console == []
    assert visit.requests == [page.as_uri()], "nothing but the page itself is asked for"
    assert states == ["drawn"] * 7
    assert all(count > 10 for count in drawings)
    assert overflow <= 0


def test_a_chart_stays_inside_its_frame_on_a_telephone(page: Path) -> None:
    inside = "[...document.querySelectorAll('.chart')].every(e => e.scrollWidth <= e.clientWidth)"
    assert visit_page(page, width_px=PHONE_WIDTH_PX, expressions=[inside]).values == [True]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = write_report(RunDir(write_run(tmp_path / "run", rename=HOSTILE, reasons=REASONS)))
    hover = (
        "[...document.querySelectorAll('[data-chart=transfer] svg .mark-rect.role-mark path')].map(e => {"
        " e.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: 9, clientY: 9}));"
        " return document.getElementById('vg-tooltip-element').textContent; })"
    )
    visit = visit_page(page, width_px=1280, expressions=[STATES, hover, ACTIVE, OVERFLOW])
    states, tooltips, active, overflow = visit.values
    assert states == ["drawn"] * 7
    assert any(HOSTILE["ct-brain-size"] in text for text in tooltips), "the tooltip shows the name as text"
    assert active == [0, True]
    assert overflow <= 0
    assert visit.console == []
    assert visit.requests == [page.as_uri()]


def test_the_switch_changes_the_heatmap(page: Path) -> None:
    labels = (
        "[...document.querySelectorAll('[data-chart=transfer] svg .mark-text.role-mark text')].map(e => e.textContent)"
    )
    choose = (
        f"(async () => {{ const told = () => {labels}.join(); const before = told();"
        " document.querySelector('[data-chart=transfer] input[value=gain]').click();"
        f" {until('told() !== before')} }})()"
    )
    before, _, after = visit_page(page, width_px=1280, expressions=[labels, choose, labels]).values
    assert len(before) == len(after) == 24
    assert before != after


def test_tables_sort_by_number_with_a_button(page: Path) -> None:
    press = (
        "(() => { const b = [...document.querySelectorAll('#all-trials th button')]"
        ".find(e => e.textContent === 'search'); b.click(); return b.closest('th').getAttribute('aria-sort'); })()"
    )
    column = (
        "(() => { const i = [...document.querySelectorAll('#all-trials th')].findIndex(e => e.ariaSort);"
        " return [...document.querySelectorAll('#all-trials tbody tr')].map(r => Number(r.cells[i].dataset.sort)); })()"
    )
    direction, values = visit_page(page, width_px=1280, expressions=[press, column]).values
    assert direction == "descending"
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 5


def test_a_download_says_in_its_name_that_it_is_rounded(page: Path) -> None:
    named = (
        "new Promise(tell => { HTMLAnchorElement.prototype.click = function () { tell(this.download); };"
        " document.querySelector('[data-download=\"transfer.csv\"]').click(); })"
    )
    assert visit_page(page, width_px=1280, expressions=[named]).values == ["transfer-rounded.csv"]


def test_every_column_of_the_trials_is_on_a_telephones_screen(page: Path) -> None:
    inside = (
        "[...document.querySelectorAll('#all-trials td, #all-trials th')].filter(e => e.offsetParent)"
        ".every(e => e.getBoundingClientRect().right <= document.documentElement.clientWidth)"
    )
    labels = "[...document.querySelectorAll('#all-trials tbody tr:last-child td')].map(e => e.dataset.label)"
    fits, named = visit_page(page, width_px=PHONE_WIDTH_PX, expressions=[inside, labels]).values
    assert fits
    assert named == [
        "trial", "stage", "arm", "seed", "status", "counts", "search", "confirm", "sealed", "gain", "CG gain",
        "composition", "recipe", "train, s",
    ]  # fmt: skip


def test_no_row_of_the_trials_has_empty_lines(page: Path) -> None:
    """A recipe of ten settings made every row five lines high, four of them empty in all columns in view."""
    lines = (
        "[...document.querySelectorAll('#all-trials tbody tr')].map(r => {"
        " const range = document.createRange();"
        " const line = parseFloat(getComputedStyle(r).lineHeight);"
        " range.selectNodeContents([...r.cells].find(c => c.dataset.label === 'recipe'));"
        " return range.getBoundingClientRect().height / line; })"
    )
    (told,) = visit_page(page, width_px=1280, expressions=[lines]).values
    assert max(told) < 2.5


def test_a_page_without_trials_opens_quietly(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    explained = ("report/explanation.json", "report/findings.json")
    for name in ("report/trials.parquet", "report/transfer.csv", "selection/selection.json", *explained):
        (run / name).unlink()
    visit = visit_page(write_report(RunDir(run)), width_px=PHONE_WIDTH_PX, expressions=[STATES, OVERFLOW])
    assert visit.values == [[], 0]
    assert visit.console == []
