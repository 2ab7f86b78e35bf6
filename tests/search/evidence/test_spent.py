from __future__ import annotations

from typing import Any

import pytest

from search.cli.status import cost_line
from search.evidence.spent import compute_spent
from search.study.sections.execution import ExecutionSection

MIXED: dict[str, Any] = {
    "gpus_per_worker": 1,
    "slots": [{"count": 2, "accelerator": "A100"}, {"gpus": 0.5, "accelerator": "L4"}],
}


def trained(train_id: str, slot: str | None, busy_s: float) -> dict[str, Any]:
    """What the ledger says of a trial that waited for an hour."""
    seconds = {"queue": 3600.0, "startup": 0.25 * busy_s, "train": 0.75 * busy_s}
    return {"train_id": train_id, "slot": slot, "reused": False, "seconds": seconds}


def test_the_work_of_each_slot_costs_what_that_slot_does() -> None:
    execution = ExecutionSection(prices={"A100": 3.0, "L4": 1.0}, currency="EUR", **MIXED)
    trials = [trained("a", "slot-0", 1800.0), trained("b", "slot-2", 3600.0)]  # an A100; half an L4
    spent = compute_spent(execution, trials)
    assert (spent.cost, spent.busy_h) == (2.0, 1.5)
    assert cost_line(execution, trials).startswith("cost so far: 2.00 EUR (1.5 h of trials at work")
    assert cost_line(execution, []).startswith("cost so far: 0.00 EUR")


@pytest.mark.parametrize(("num_workers", "hours"), [(0, 1.5), (1, 1.5), (3, 4.5)])
def test_a_trial_in_processes_of_its_own_costs_what_its_workers_do(num_workers: int, hours: float) -> None:
    execution = ExecutionSection(prices={"cpu": 2.0}, executor="nested", num_workers=num_workers)
    spent = compute_spent(execution, [trained("a", None, 1800.0), trained("b", None, 3600.0)])
    assert (spent.cost, spent.busy_h) == (2 * hours, hours)


def test_what_was_not_trained_for_a_record_costs_nothing() -> None:
    """Arms share weights, and another study's trials were paid there."""
    execution = ExecutionSection(prices={"cpu": 1.0}, max_concurrent=2)
    trials = [trained("a", "slot-0", 1800.0), trained("a", "slot-0", 1800.0)]
    spent = compute_spent(execution, [*trials, {**trained("c", "slot-1", 60.0), "reused": True}])
    assert (spent.cost, spent.busy_h) == (0.5, 0.5)


def test_each_try_costs_once_and_a_death_without_a_word_hides_no_training() -> None:
    execution = ExecutionSection(prices={"cpu": 1.0}, max_concurrent=1)
    died = {**trained("a", None, 0.0), "seconds": {}, "started_at": None}
    failed, finished = ({**trained("a", "slot-0", 1800.0), "started_at": at} for at in (10.0, 20.0))
    spent = compute_spent(execution, [died, failed, finished, {**finished, "stage": "sealed"}])
    assert (spent.cost, spent.busy_h) == (1.0, 1.0)


def test_a_slot_that_is_no_longer_costs_what_slots_do() -> None:
    execution = ExecutionSection(prices={"A100": 3.0, "L4": 1.0}, **MIXED)
    assert compute_spent(execution, [trained("a", "slot-9", 3600.0)]).cost == pytest.approx((3.0 + 3.0 + 0.5) / 3)


def test_without_prices_there_are_hours_and_no_cost() -> None:
    spent = compute_spent(ExecutionSection(), [trained("a", "slot-0", 3600.0)])
    assert (spent.cost, spent.busy_h) == (None, 1.0)
