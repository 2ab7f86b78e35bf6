"""Effects in the table of the page."""

from __future__ import annotations

from search.report.sections.effects import marked_subject


def test_an_explanation_shows_the_mark_and_older_files_have_none() -> None:
    effect = {"subject": "s4"}
    assert marked_subject(effect) == "s4"
    why = "extrapolation: no trial had 3 subsets"
    assert marked_subject({**effect, "extrapolation": why}) == f"s4 ({why})"
