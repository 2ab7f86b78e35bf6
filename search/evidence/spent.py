"""What the work of a study's trials has cost, by the prices that the study names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from search.ledger.records import Record
from search.study.sections.execution import ExecutionSection


@dataclass(kw_only=True)
class Spent:
    """Trials at work: each training once, without the time that it waited, starts of slots, idle time and the head.

    Attributes:
        execution: whose prices count.
        busy_h: hours of slots, or of trials in processes of their own.
        cost: of these, in the study's currency; None where it names no prices.
    """

    execution: ExecutionSection
    busy_h: float = 0.0
    cost: float | None = field(init=False)
    _trained: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cost = 0.0 if self.execution.prices else None

    def add(self, record: Record) -> None:
        """Count a trial; nothing where another study trained it, or where the same weights are counted."""
        if record["reused"] or record["train_id"] in self._trained:
            return
        self._trained.add(record["train_id"])
        hours = sum(seconds for phase, seconds in record.get("seconds", {}).items() if phase != "queue") / 3600
        self.busy_h += hours
        if self.cost is not None:
            self.cost += hours * self._price_per_h(record.get("slot"))

    def _price_per_h(self, slot: str | None) -> float:
        """A slot that the study has no longer costs what slots do on average."""
        prices = self.execution.slot_prices_per_h
        usual = sum(prices) / len(prices)
        if slot is None:
            return usual * max(1, self.execution.num_workers)  # a price is that of one worker
        return {f"slot-{number}": price for number, price in enumerate(prices)}.get(slot, usual)


def compute_spent(execution: ExecutionSection, trials: Iterable[Record]) -> Spent:
    """Return what trials have cost."""
    spent = Spent(execution=execution)
    for record in trials:
        spent.add(record)
    return spent
