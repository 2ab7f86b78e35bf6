"""README and docs quote one run of the demo, docs/demo.json (`make demo-figures`); the prose is held to that file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
RUN: dict[str, Any] = json.loads((REPOSITORY / "docs" / "demo.json").read_text(encoding="utf-8"))


def minutes(seconds: float) -> str:
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%-d %B %Y}"


def text_of(name: str) -> str:
    return " ".join((REPOSITORY / name).read_text(encoding="utf-8").split())


def test_the_readme_quotes_the_run() -> None:
    readme = text_of("README.md")
    for quoted in (
        f"searches {RUN['trials']['search']} compositions",
        f"{minutes(RUN['wall_s'])} on {RUN['processors']} cores after the installation, of which the search takes "
        f"{minutes(RUN['stage_s']['search'])} ({day(RUN['finished_at'])}",
        RUN["finding"]["headline"],
    ):
        assert quoted in readme, quoted


@pytest.mark.parametrize("comparison", RUN["comparisons"], ids=lambda c: str(c["comparator"]))
def test_the_benchmarks_quote_every_comparison(comparison: dict[str, Any]) -> None:
    numbers = [100 * comparison[name] for name in ("difference", "simultaneous_low", "simultaneous_high")]
    row = "| {} | {:+.1f} | {:+.1f} to {:+.1f} | {} |".format(comparison["comparator"], *numbers, comparison["verdict"])
    assert row in text_of("docs/benchmarks.md"), row


def test_the_benchmarks_quote_the_times() -> None:
    benchmarks = text_of("docs/benchmarks.md")
    assert f"{minutes(RUN['wall_s'])} in all" in benchmarks
    assert f"search of {RUN['trials']['search']} trials {minutes(RUN['stage_s']['search'])}" in benchmarks
