"""A budget of a whole study: its search ends while there is still time to confirm what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from search.ledger.records import ENDS, Kind, Record, tries_of
from search.study.sections.execution import ExecutionSection
from search.study.spec import StudySpec
from search.vocabulary import Stage

SECONDS_AN_HOUR = 3600.0


def trial_seconds(record: Record) -> float:
    """How long a trial held its slot; what a pack shares is counted once, and what was taken over not at all."""
    if record["reused"]:
        return 0.0
    seconds = record.get("seconds") or {}
    held = sum(s for phase, s in seconds.items() if phase != "queue")
    return float(held or record["train_s"] + record["startup_s"])


def trial_gpu_seconds(record: Record, execution: ExecutionSection) -> float:
    """Seconds of GPUs that a trial held: those of its slot, each for as long."""
    return trial_seconds(record) * execution.gpus_of(record.get("slot"))


def wall_seconds(records: Sequence[Record], now: datetime) -> float:
    """How long the study has run: from every start to the last trial before the next, and from the last one to now.

    The clock of a study that has ended stands at its last trial.
    """
    started = [
        place for place, record in enumerate(records) if record["kind"] == Kind.writer and record.get("opened_at")
    ]
    total = 0.0
    for place, following in zip(started, [*started[1:], None], strict=True):
        since, begun = records[place:following], datetime.fromisoformat(records[place]["opened_at"])
        ended = [datetime.fromisoformat(r["finished_at"]) for r in tries_of(since)]
        is_over = following is not None or any(r["kind"] in ENDS for r in since)
        total += ((max([begun, *ended]) if is_over else now) - begun).total_seconds()
    return total


def num_confirm_trials(spec: StudySpec) -> int:
    """Trials that follow the search: finalists, comparators and the controls of every target, with all their seeds."""
    if not spec.confirm.enabled:
        return 0
    others = [name for name in spec.confirm.comparators if name != "control"]
    controls = len(spec.eval_sets) if "control" in spec.confirm.comparators else 0
    arms = spec.confirm.num_finalists + len(others) + controls
    return len(spec.confirm.seeds) * arms + len(spec.confirm.further_seeds)


def spent_budget(spec: StudySpec, records: Callable[[], Sequence[Record]], now: Callable[[], datetime]) -> str | None:
    """Why no further trial of the search may start; None while one more leaves time for the confirmation.

    Args:
        spec: the study.
        records: reads the ledger.
        now: the time.
    """
    if spec.budget_gpu_hours is None and spec.budget_wall_h is None:
        return None
    every = records()
    trials = [record for record in tries_of(every) if not record["reused"]]
    trained = [r for r in trials if r["stage"] in (Stage.search, Stage.single) and r["num_steps"]]
    # The controls of a study without a matrix first, and sealed questions, take something too: one trial more.
    share = (num_confirm_trials(spec) + 2) / max(1, len(trained))  # what is left, of what these took

    def gpu_seconds(some: Sequence[Record]) -> float:
        return sum(trial_gpu_seconds(record, spec.execution) for record in some)

    needed = {
        "budget_gpu_hours": (spec.budget_gpu_hours, gpu_seconds(trials) + share * gpu_seconds(trained)),
        "budget_wall_h": (
            spec.budget_wall_h,
            wall_seconds(every, now()) + share * sum(map(trial_seconds, trained)) / spec.execution.num_slots,
        ),
    }
    for name, (hours, seconds) in needed.items():
        if hours is not None and seconds > hours * SECONDS_AN_HOUR:
            return f"{name} {hours:g} leaves no time for another trial and the confirmation"
    return None
