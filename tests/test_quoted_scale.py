"""docs/scale.md quotes the plan of a study over 2.4 million rows; it is held to what `recombine plan` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.cli.plan import show_plan
from tests.makers.scale_study import NUM_ROWS, NUM_SUBSETS, write_scale_study

DOC = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
QUOTED = ("rows that trials may read", "time: ", "GPU memory of", "largest micro-batch", "chosen by card", "disk: ")


def test_the_page_quotes_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert NUM_SUBSETS * sum(NUM_ROWS.values()) > 2_400_000
    show_plan(write_scale_study(tmp_path), [], None)
    printed = capsys.readouterr().out
    page = " ".join(DOC.read_text(encoding="utf-8").split())
    lines = [line for line in printed.splitlines() if line.startswith(QUOTED)]
    assert len(lines) == len(QUOTED)
    table = printed.split("\nStages\n")[1].splitlines()[:7]
    for line in (*lines, *table):
        assert " ".join(line.split()) in page, line
