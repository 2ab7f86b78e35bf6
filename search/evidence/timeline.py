"""Where a study's seconds went: by phase, by slot, and as a trace for chrome://tracing or Perfetto."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search.study.run_dir import RunDir, RunFile
from trainers.trial.folder import RESULT_FILE
from trainers.trial.result import TrialResult

PHASES = ("queue", "startup", "data", "train", "score", "checkpoint")
OWN_PROCESS = "own process"  # trials that run in no slot


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotUse:
    """What a slot did between its first trial's start and its last one's end.

    Attributes:
        slot: its name.
        num_trials: trials that it ran.
        busy_s: seconds in which it worked on any.
        wall_s: seconds from the first start to the last end.
    """

    slot: str
    num_trials: int
    busy_s: float
    wall_s: float

    @property
    def busy_share(self) -> float:
        """Share of its time in which it worked."""
        return min(1.0, self.busy_s / self.wall_s) if self.wall_s > 0 else 0.0


def compute_phase_seconds(trials: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return seconds by phase, over trials that were run for this record; what a pack shares is counted once."""
    totals = dict.fromkeys(PHASES, 0.0)
    for record in _trainings(trials):
        for phase, seconds in record.get("seconds", {}).items():
            totals[phase] += seconds
    return totals


def compute_slot_use(trials: Iterable[Mapping[str, Any]]) -> list[SlotUse]:
    """Return how busy every slot was, by name."""
    of_slot: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in _trainings(trials):
        if record.get("slot") and record.get("started_at") is not None:
            of_slot[record["slot"]].append(record)
    found = []
    for slot, records in sorted(of_slot.items()):
        ends = [datetime.fromisoformat(record["finished_at"]).timestamp() for record in records]
        busy_s = sum(s for record in records for phase, s in record["seconds"].items() if phase != "queue")
        wall_s = max(ends) - min(record["started_at"] for record in records)
        found.append(SlotUse(slot=slot, num_trials=len(records), busy_s=busy_s, wall_s=wall_s))
    return found


def _trainings(trials: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one record a training: the same weights stand for several arms, and may be scored again later."""
    by_training = {(r["train_id"], r.get("started_at")): r for r in reversed(list(trials)) if not r["reused"]}
    return list(by_training.values())


def compute_trace(results: Sequence[tuple[str, TrialResult]]) -> dict[str, Any]:
    """Return Chrome trace events: one process a slot, one row for each trial of a pack.

    Args:
        results: name and result of every trial.
    """
    slots = sorted({result.slot or OWN_PROCESS for _, result in results})
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": slots.index(slot), "args": {"name": slot}} for slot in slots
    ]
    free_at: dict[tuple[int, int], float] = defaultdict(float)  # (slot, row) -> when its last trial ended
    working = [(name, r, [s for s in r.spans if s.phase != "queue"]) for name, r in results]
    for name, result, spans in sorted((w for w in working if w[2]), key=lambda w: w[2][0].started_at):
        pid = slots.index(result.slot or OWN_PROCESS)
        row = next(row for row in range(len(results)) if free_at[(pid, row)] <= spans[0].started_at)
        free_at[(pid, row)] = max(span.started_at + span.duration_s for span in spans)
        events += [
            {
                "name": span.phase,
                "cat": span.phase,
                "ph": "X",
                "pid": pid,
                "tid": row,
                "ts": round(1e6 * span.started_at),
                "dur": round(1e6 * span.duration_s),
                "args": {"trial": name, "status": result.status, "shared_by": span.sharing},
            }
            for span in spans
        ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def read_trial_results(run_dir: RunDir) -> list[tuple[str, TrialResult]]:
    """Return name and result of every trial folder of a study; folders that are being written are left out."""
    found = []
    for file in sorted((run_dir / RunFile.trials).glob(f"[!.]*/{RESULT_FILE}")):
        try:
            found.append((file.parent.name, TrialResult.model_validate_json(file.read_bytes())))
        except (OSError, ValueError):
            continue  # its absence is the ledger's matter, not the picture's
    return found
