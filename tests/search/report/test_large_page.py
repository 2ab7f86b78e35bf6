"""The pages of a study of 53 sources on 53 targets travel by mail."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.makers.chromium import needs_chromium, until, visit_page
from tests.search.report.fixture_large import NUM, write_large_run

MEBIBYTE = 2**20
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_a_large_page_is_small_and_works(tmp_path: Path) -> None:
    run = RunDir(write_large_run(tmp_path / "run"))
    page = write_report(run, is_flat=True)
    assert page.stat().st_size < 3 * MEBIBYTE
    assert (run / "report" / "flat.html").stat().st_size < 4 * MEBIBYTE
    cells = "document.querySelectorAll('[data-chart=transfer] svg .mark-rect.role-mark path').length"
    press = (
        "(async () => { const row = document.querySelector('#all-trials tr[data-trial]:nth-child(3)');"
        " row.querySelector('.opener').click();"
        + until("row.nextElementSibling.querySelector('tbody tr')")
        + "return row.nextElementSibling.querySelectorAll('tbody tr').length; })()"
    )
    evidence = "document.querySelectorAll('#evidence-cell dd').length"
    for width_px in (360, 1280):
        visit = visit_page(page, width_px=width_px, expressions=[OVERFLOW, cells, press, evidence, OVERFLOW])
        overflow, num_cells, num_lines, num_facts, then = visit.values
        assert (overflow, then) == (0, 0)
        assert num_cells == NUM * NUM
        assert num_lines > 4 * NUM, "scores and three classes of each target"
        assert num_facts == 12
        assert visit.console == []
        assert visit.requests == [page.as_uri()]
