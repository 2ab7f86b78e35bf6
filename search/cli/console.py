"""What the terminal shows: one live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.vocabulary import Status

_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]* ?%?$|-?$")
# A pipe has no width; wrapping or cutting there would break `grep` and the logs of a submitted job.
PIPE_WIDTH = 240

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(error: Exception) -> None:
    """Print a user error: message and hint, no traceback, no markup read into it."""
    err.print(f"error: {error}", markup=False, style="red" if err.is_terminal else None)


def print_line(text: str) -> None:
    """Print one plain line."""
    out.print(text, markup=False)


@contextmanager
def renewed_line() -> Iterator[Callable[[str], None] | None]:
    """Gives what shows one line, in the place of the one before, below what is printed; None where output is a pipe."""
    if not out.is_terminal:
        yield None
        return
    with Live(console=out, refresh_per_second=2, transient=True) as live:
        yield lambda text: live.update(Text(text))


def print_note(text: str) -> None:
    """Print progress where the output itself is for a program."""
    err.print(text, markup=False)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table of aligned columns."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        is_number = bool(rows) and all(_NUMBER.match(row[index]) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", no_wrap=not out.is_terminal)
    for row in rows:
        table.add_row(*map(Text, row))  # as it stands: brackets in an error are no markup
    if not out.is_terminal:
        out.width = max(PIPE_WIDTH, _full_width(title, columns, rows))
    out.print(table)


def _full_width(title: str, columns: list[str], rows: list[list[str]]) -> int:
    widest = [max(cell_len(cell) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    return max(cell_len(title), sum(widest) + 2 * len(widest))


class Progress:
    """Tells how a study goes on: a line for every event and, on a terminal, one live table.

    Args:
        value_of: objective values of a trial record, or None.
    """

    def __init__(self, value_of: Callable[[Mapping[str, Any]], tuple[float, ...] | None]) -> None:
        self._value_of = value_of
        self._started = time.monotonic()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._best: tuple[float, ...] | None = None
        self._train_s = 0.0
        self._live = (
            Live(self._table(), console=out, refresh_per_second=2, transient=True) if sys.stdout.isatty() else None
        )

    def __enter__(self) -> Self:
        """Show the table, on a terminal."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the table; the lines stay."""
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        out.print(f"[{self._elapsed()}] {text}", markup=False)

    def on_record(self, record: Mapping[str, Any]) -> None:
        """Tell that a trial has ended."""
        stage, status = record["stage"], record["status"]
        self._counts[(stage, status)] += 1
        self._train_s += float(record["train_s"])
        values = self._value_of(record) if stage == "search" else None
        shown = " ".join(f"{value:.1%}" for value in values) if values else ""
        if values and (self._best is None or sum(values) > sum(self._best)):
            self._best = values
            shown += " (best so far)"
        done = sum(n for (s, _), n in self._counts.items() if s == stage)
        composition = "+".join(f"{s}:{n}" for s, n in record["composition"].items()) or "no training"
        problem = f" {status}: {record['error']}" if status != Status.finished else ""
        if status == Status.stopped_early:
            problem = f" stopped early after {record['num_steps']} of {record['recipe']['num_steps']} steps"
        self.say(f"{stage} {done}: {record['arm']} {composition} {shown}{problem}".rstrip())
        if self._live is not None:
            self._live.update(self._table())

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _table(self) -> Table:
        table = Table(box=None, header_style="bold")
        for column in ("stage", "finished", "other", "best so far", "training time"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        best = " ".join(f"{value:.1%}" for value in self._best) if self._best else "-"
        for stage in dict.fromkeys(stage for stage, _ in self._counts):
            finished = self._counts[(stage, Status.finished.value)]
            other = sum(n for (s, status), n in self._counts.items() if s == stage and status != Status.finished)
            table.add_row(stage, str(finished), str(other), best if stage == "search" else "", "")
        table.add_row("all", str(sum(self._counts.values())), "", best, f"{self._train_s:.0f} s")
        return table
