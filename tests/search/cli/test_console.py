from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.cli import console


def test_a_terminal_has_one_line_that_is_renewed_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, force_terminal=True, width=80))
    with console.renewed_line() as renew:
        assert renew is not None
        renew("wrote [1] of 2 rows")
        console.print_line("a line that stays")
    assert "wrote [1] of 2 rows" in shown.getvalue()
    assert "a line that stays" in shown.getvalue()
    assert shown.getvalue().rstrip("\n").endswith("\x1b[2K")  # the last thing done to the line is to erase it


def test_a_pipe_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "out", Console(file=io.StringIO()))
    with console.renewed_line() as renew:
        assert renew is None
