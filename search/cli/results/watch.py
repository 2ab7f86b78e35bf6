"""`recombine status RUN --watch`: one screen of a running study, from its ledger alone; no cluster is asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.cli.console import out
from search.evidence.timeline import compute_slot_use
from search.ledger.records import Kind, Record, of_kind, trials_of, tries_of
from search.phases.budget import SECONDS_AN_HOUR, trial_gpu_seconds, trial_seconds, wall_seconds
from search.results.study_end import has_ended, missing_end, parts_of
from search.study.objective import objective_names, objective_values, scores_of
from search.study.run_dir import RunDir, RunFile, read_resolved
from search.study.spec import StudySpec
from search.vocabulary import Stage, Status

# A trial takes seconds at least, and a ledger of thousands is read in a fraction of one.
INTERVAL_S = 2.0


def watch_status(run_dir: RunDir) -> None:
    """Show the screen until the study has ended or the user stops looking; once, where output is no terminal.

    A study on several backbones shows one part each, and has ended when their comparison is written.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    if not out.is_terminal:
        out.print(_screens(run_dir)[0])
        return
    with Live(console=out, screen=False, auto_refresh=False) as live:
        try:
            while True:
                shown, is_over = _screens(run_dir)
                live.update(shown, refresh=True)
                if is_over:
                    return
                time.sleep(INTERVAL_S)
        except KeyboardInterrupt:
            return


def _screens(run_dir: RunDir) -> tuple[Group, bool]:
    """What a directory shows now, and whether its study is over."""
    parts, now = parts_of(run_dir), datetime.now(UTC)
    if parts == [run_dir]:
        records = run_dir.read_records()
        return screen(read_resolved(run_dir), records, now), has_ended(records)
    begun = [part for part in parts if (part / RunFile.ledger).is_dir()]
    shown = [(Text(f"{part}:", style="bold"), screen(read_resolved(part), part.read_records(), now)) for part in begun]
    return Group(*(line for pair in shown for line in pair)), missing_end(run_dir) is None


def screen(spec: StudySpec, records: Sequence[Record], now: datetime) -> Group:
    """What is shown at one moment.

    Args:
        spec: the study.
        records: its ledger's.
        now: the time, for the budget.
    """
    trials = trials_of(records)
    parts: list[Text | Table] = [Text(line) for line in progress_lines(spec, records, now)]
    parts += [_targets(spec, trials), _slots(tries_of(records))]
    return Group(*parts)


def progress_lines(spec: StudySpec, records: Sequence[Record], now: datetime) -> list[str]:
    """The study's phase, what has ended and what waits, the best so far, and what is left of the budget."""
    trials = trials_of(records)
    proposed = {r["proposal_index"] for r in of_kind(records, Kind.suggestion)}
    ended = {r["proposal_index"] for r in trials if r["stage"] == Stage.search}
    counts = Counter(str(record["status"]) for record in trials)
    phase = str(trials[-1]["stage"]) if trials else "not begun"
    listed = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in sorted(counts.items())) or "none"
    lines = [
        f"{spec.name}: {'ended' if has_ended(records) else phase}",
        f"trials: {listed}; proposals: {len(proposed)} of {spec.strategy.num_trials} made, "
        f"{len(proposed - ended)} running or waiting",
    ]
    scored = [(v, r) for r in trials if r["stage"] == Stage.search and (v := objective_values(spec, r))]
    if scored:
        values, best = max(scored, key=lambda pair: sum(pair[0]))
        shown = ", ".join(f"{name} {value:.1%}" for name, value in zip(objective_names(spec), values, strict=True))
        mix = " + ".join(f"{subset}:{number}" for subset, number in sorted(best["composition"].items()))
        lines.append(f"best so far: {shown} with {mix} (one seed, the best of {len(scored)}: confirmation will tell)")
    return lines + _budget_lines(spec, records, now)


def _budget_lines(spec: StudySpec, records: Sequence[Record], now: datetime) -> list[str]:
    tries = tries_of(records)
    held = sum(map(trial_seconds, tries))
    used: list[tuple[str, float | None, float]] = [("slot hours", None, held)]
    if spec.budget_gpu_hours is not None:
        on_gpus = sum(trial_gpu_seconds(record, spec.execution) for record in tries)
        used.append(("GPU hours", spec.budget_gpu_hours, on_gpus))
    if spec.budget_wall_h is not None:
        used.append(("hours", spec.budget_wall_h, wall_seconds(records, now)))
    lines = []
    for unit, budget, seconds in used:
        hours = seconds / SECONDS_AN_HOUR
        left = "" if budget is None else f" of {budget:g}, {max(0.0, budget - hours):.2f} left"
        lines.append(f"used: {hours:.2f} {unit}{left}")
    return lines


def _targets(spec: StudySpec, trials: Sequence[Record]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("target", "untrained", "best so far", "trials"):
        table.add_column(column, justify="left" if column == "target" else "right")
    finished = [record for record in trials if record["status"] == Status.finished]
    baseline = [scores_of(r, score=spec.score) for r in finished if r["stage"] == Stage.baseline]
    searched = [scores_of(r, score=spec.score) for r in finished if r["stage"] in (Stage.search, Stage.single)]
    for name in spec.objective_sets:
        before = [scores[name] for scores in baseline if name in scores]
        found = [scores[name] for scores in searched if name in scores]
        table.add_row(name, *(f"{max(v):.1%}" if v else "-" for v in (before, found)), str(len(found)))
    return table


def _slots(trials: Sequence[Record]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("slot", "trials", "busy"):
        table.add_column(column, justify="left" if column == "slot" else "right")
    for use in compute_slot_use(trials):
        table.add_row(use.slot, str(use.num_trials), f"{use.busy_share:.0%}")
    return table
