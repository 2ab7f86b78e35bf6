"""axe-core finds nothing wrong with the pages, at three widths, light and dark, rows and tables open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.makers.axe import audit_page, find_axe
from tests.makers.chromium import needs_chromium, until, visit_page

pytestmark = [
    pytest.mark.browser,
    needs_chromium,
    pytest.mark.skipif(find_axe() is None, reason="axe-core-python is not installed: make install"),
]

OPEN_ALL = (
    "(async () => { for (const row of document.querySelectorAll('#all-trials tr[data-trial]')) {"
    " if (row.rowIndex < 4) row.querySelector('.opener')?.click(); }"
    " for (const details of [...document.querySelectorAll('main details')].slice(0, 12)) details.open = true;"
    + until("[...document.querySelectorAll('.opened > td')].every(e => e.children.length)")
    + "})()"
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# In every change the two ends; the whole grid is of the slow tier.
QUICK = [(360, True), (1280, False)]
REST = [(360, False), (768, False), (768, True), (1280, True)]


def grid() -> list[object]:
    slow = [pytest.param(*each, marks=pytest.mark.slow) for each in REST]
    return [*QUICK, *slow]


@pytest.mark.parametrize(("width_px", "is_dark"), grid())
def test_nothing_is_wrong_with_contrast_names_and_order(page: Path, width_px: int, is_dark: bool) -> None:
    assert audit_page(page, width_px=width_px, is_dark=is_dark, before=OPEN_ALL) == []


@pytest.mark.slow
@pytest.mark.parametrize(("width_px", "is_dark"), [*QUICK, *REST])
def test_an_open_page_does_not_overflow(page: Path, width_px: int, is_dark: bool) -> None:
    visit = visit_page(page, width_px=width_px, is_dark=is_dark, expressions=[OPEN_ALL, OVERFLOW])
    assert visit.values[1] <= 0
    assert visit.console == []


@pytest.mark.slow
@pytest.mark.parametrize(("width_px", "is_dark"), [*QUICK, *REST])
def test_nothing_is_wrong_with_the_flat_page(page: Path, width_px: int, is_dark: bool) -> None:
    flat = page.parent / "flat.html"
    assert audit_page(flat, width_px=width_px, is_dark=is_dark, before=OPEN_ALL) == []
    visit = visit_page(flat, width_px=width_px, is_dark=is_dark, expressions=[OPEN_ALL, OVERFLOW])
    assert visit.values[1] <= 0
    assert visit.console == []
