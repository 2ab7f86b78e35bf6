"""Where the time went, and what early stopping saved and risked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.report.run_files import RunRecords
from search.report.wording import duration

PHASE_WORDS = {
    "startup": "start-up of trials",
    "data": "waiting for samples, and joining them",
    "train": "training (forward and backward)",
    "score": "scoring",
    "checkpoint": "checkpoints and results on disk",
    "queue": "waiting for a slot",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeUse:
    """Tables ready to print.

    Attributes:
        phases: (phase, time, share of the time that slots worked; "" for waiting).
        slots: (slot, trials, time at work, share of its time).
        early_stopping: sentences; none where it was off.
    """

    phases: tuple[tuple[str, str, str], ...]
    slots: tuple[tuple[str, str, str, str], ...]
    early_stopping: tuple[str, ...]


def compute_time_use(records: RunRecords) -> TimeUse:
    """Collect it from `run.json`; empty where a study was run before it was recorded.

    Args:
        records: A run's files.
    """
    seconds: Mapping[str, float] = records.run.get("phase_seconds") or {}
    worked = sum(s for phase, s in seconds.items() if phase != "queue")
    phases = tuple(
        (words, duration(seconds[phase]), "" if phase == "queue" else f"{seconds[phase] / worked:.0%}")
        for phase, words in PHASE_WORDS.items()
        if worked and seconds.get(phase)
    )
    slots = tuple(
        (str(use["slot"]), str(use["num_trials"]), duration(use["busy_s"]), f"{use['busy_share']:.0%}")
        for use in records.run.get("slots") or ()
    )
    return TimeUse(phases=phases, slots=slots, early_stopping=_early_stopping(records.run.get("early_stopping") or {}))


def _early_stopping(found: Mapping[str, Any]) -> tuple[str, ...]:
    if not found:
        return ()
    sentences = [
        f"{found['num_stopped']} of {found['num_trials']} trials of the search were stopped early: "
        f"{found['saved_share']:.0%} of their training steps were not made."
    ]
    for rung in found["agreements"]:
        tau = rung["kendall_tau"]
        measured = "too few trials to measure" if tau is None else f"Kendall's tau {tau:.2f}"
        sentences.append(
            f"Scores at step {rung['step']} against final scores of the {rung['num_trials']} trials that went on: "
            f"{measured} (1: same order, 0: none). Of the stopped ones nobody knows."
        )
    return tuple(sentences)
