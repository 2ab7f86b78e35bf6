from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.cli.plan import cost_note
from search.planning.cost import compute_plan
from search.planning.facts import read_facts
from search.study.run_dir import RunDir
from search.study.sections.execution import ExecutionSection
from tests.makers.study_fixture import open_study

MIXED: dict[str, Any] = {
    "gpus_per_worker": 1,
    "cpus_per_worker": 4,
    "slots": [{"count": 2, "accelerator": "A100"}, {"gpus": 0.5, "accelerator": "L4"}],
}


def prices(**execution: Any) -> tuple[float, ...]:
    return ExecutionSection(**execution).slot_prices_per_h


def test_each_slot_costs_what_it_occupies() -> None:
    assert prices(prices={"cpu": 0.05}, max_concurrent=3) == (0.05, 0.05, 0.05)
    assert prices(prices={"A100": 3.0, "L4": 1.0, "cpu": 0.25}, **MIXED) == (4.0, 4.0, 1.5)
    assert prices(prices={"A100": 3.0, "gpu": 2.0}, **MIXED) == (3.0, 3.0, 1.0)  # L4 has the price of any GPU
    assert prices(prices={"A100": 3.0}, gpus_per_worker=1, max_concurrent=1) == (3.0,)  # the only kind there is
    assert prices(prices={"cpu": 1.0}, num_workers=2, max_concurrent=2) == (1.0,) * 4


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        ({"prices": {"A100": 3.0}, **MIXED}, "has A100, and no price of a slot with a GPU of kind L4: add `L4: PRICE`"),
        ({"prices": {"A100": 3.0, "L4": 1.0}, "gpus_per_worker": 1}, "GPU of any kind: add `gpu: PRICE`"),
        ({"prices": {"cpu": 0.1}, "gpus_per_worker": 1}, "add `gpu: PRICE`"),
        ({"prices": {"A100": 3.0}}, "no price of a slot without a GPU: add `cpu: PRICE`"),
    ],
)
def test_a_slot_without_a_price_is_refused(execution: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ExecutionSection(**execution)


def test_a_price_is_a_number_from_zero() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        ExecutionSection(prices={"cpu": -1})


def test_a_plan_costs_all_slots_for_its_time(tmp_path: Path) -> None:
    priced = {"execution.prices": {"cpu": 36.0}, "execution.currency": "EUR", "execution.max_concurrent": 2}
    study = open_study(tmp_path, priced)
    plan = compute_plan(study, read_facts(study, RunDir(tmp_path / "run")))
    workers = max(1, study.spec.execution.num_workers)
    assert plan.cost == pytest.approx([2 * workers * 36.0 * s / 3600 for s in plan.wall_s])
    assert study.spec.execution.cost_text(1234.5, 2) == "1,234.50 to 2.00 EUR"
    assert cost_note(study.spec.execution).startswith("all 2 slots for the time above")
    assert ExecutionSection().cost_text(1.0) == "1.00"
