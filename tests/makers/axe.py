"""What axe-core finds wrong with a page: contrast, labels, names, order of headings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.makers.chromium import visit_page

# Tags of its rules: WCAG 2 and 2.1, levels A and AA, and its own good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
RUN = (
    "axe.run(document, {runOnly: {type: 'tag', values: %s}, resultTypes: ['violations']}).then(found =>"
    " found.violations.map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ') + ' ' + n.html.slice(0, 120)"
    " + ' ' + n.failureSummary.slice(0, 300)).slice(0, 3).join(' | ')} (${v.nodes.length})`))"
)


def find_axe() -> Path | None:
    """The script, from the package that carries it."""
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "axe.min.js"


def audit_page(page: Path, *, width_px: int, is_dark: bool, before: str = "0") -> list[str]:
    """Open a page and list what is wrong, a line for each rule.

    Args:
        page: An HTML file.
        width_px: Width of the window.
        is_dark: Whether the reader prefers dark colours.
        before: JavaScript that brings the page into the state to look at.
    """
    script = find_axe()
    if script is None:
        raise FileNotFoundError("axe-core-python is not installed")
    source = script.read_text(encoding="utf-8") + "\n;0"
    visit = visit_page(page, width_px=width_px, is_dark=is_dark, expressions=[before, source, RUN % TAGS])
    found: list[str] = visit.values[-1]
    return found
