"""What the work of a study's trials has cost, by the prices that the study names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from search.ledger.records import Record
from search.study.sections.execution import ExecutionSection, of_slot


@dataclass(kw_only=True)
class Spent:
    """Trials at work: each training and each failed try once, without waiting, starts of slots, idle time and the head.

    Attributes:
        execution: whose prices count.
        busy_h: hours of slots, or of workers of trials in processes of their own.
        cost: of these, in the study's currency; None where it names no prices.
    """

    execution: ExecutionSection
    busy_h: float = 0.0
    cost: float | None = field(init=False)
    _counted: set[tuple[str, float | None]] = field(default_factory=set)  # train_id and when it began

    def __post_init__(self) -> None:
        self.cost = 0.0 if self.execution.prices else None

    def add(self, record: Record) -> bool:
        """Count a trial and return True; False where another study trained it, or its training is counted already.

        The same weights stand for several arms, and may be scored again later, as those of a selection are on sealed.
        """
        training = (record["train_id"], record.get("started_at"))
        if record["reused"] or training in self._counted:
            return False
        self._counted.add(training)
        num_workers = 1 if record.get("slot") else max(1, self.execution.num_workers)
        busy_s = sum(seconds for phase, seconds in record.get("seconds", {}).items() if phase != "queue")
        hours = num_workers * busy_s / 3600
        self.busy_h += hours
        if self.cost is not None:
            self.cost += hours * of_slot(self.execution.slot_prices_per_h, record.get("slot"))
        return True


def compute_spent(execution: ExecutionSection, trials: Iterable[Record]) -> Spent:
    """Return what trials have cost."""
    spent = Spent(execution=execution)
    for record in trials:
        spent.add(record)
    return spent
