"""A study's budget: what was spent is counted, and the search ends while the confirmation still fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.ledger.records import trials_of
from search.phases.budget import num_confirm_trials, spent_budget, wall_seconds
from tests.makers.study_fixture import open_study

START = datetime(2026, 11, 1, tzinfo=UTC)
HOURS_OF_A_TRIAL = 0.5


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def writer(hours: float) -> dict[str, Any]:
    return {"kind": "writer", "opened_at": at(hours)}


def trial(hours: float, *, reused: bool = False) -> dict[str, Any]:
    seconds = {"queue": 900.0, "train": 1800 * 2 * HOURS_OF_A_TRIAL}
    return {
        "kind": "trial", "stage": "search", "num_steps": 5, "reused": reused, "seconds": seconds, "train_s": 1.0,
        "startup_s": 1.0, "finished_at": at(hours),
    }  # fmt: skip


def test_hours_between_two_runs_do_not_count() -> None:
    records = [writer(0), trial(1), trial(2), writer(10), trial(11)]
    assert wall_seconds(records, START + timedelta(hours=12)) == (2 + 2) * 3600
    assert wall_seconds([writer(0)], START + timedelta(hours=1)) == 3600


def test_the_clock_stands_when_a_study_or_what_was_added_to_it_has_ended() -> None:
    later = START + timedelta(hours=99)
    once = [writer(0), trial(1), {"kind": "ended"}, {"kind": "results"}]
    assert wall_seconds(once, later) == 3600
    assert wall_seconds([*once, writer(10), trial(11), {"kind": "results"}], later) == 2 * 3600


def test_the_search_ends_while_the_confirmation_fits(tmp_path: Path) -> None:
    confirm = {"num_finalists": 2, "seeds": [101, 102], "comparators": ["control", "all-data", "best-single"]}
    # One slot, whatever stands in `max_concurrent` beside it.
    changes = {"confirm": confirm, "execution": {"slots": [{"count": 1}], "max_concurrent": 8}, "budget_wall_h": 10.0}
    spec = open_study(tmp_path, changes).spec
    assert num_confirm_trials(spec) == 2 * (2 + 2 + len(spec.eval_sets))
    needed_h = HOURS_OF_A_TRIAL * (num_confirm_trials(spec) + 2)
    ends = {}
    for num in range(1, 20):
        records = [writer(0), *(trial(HOURS_OF_A_TRIAL * (k + 1)) for k in range(num))]
        now = partial(datetime.fromisoformat, at(HOURS_OF_A_TRIAL * num))
        ends[num] = spent_budget(spec, partial(list, records), now)
    last = max(num for num, why in ends.items() if why is None)
    assert HOURS_OF_A_TRIAL * last + needed_h == pytest.approx(10.0)
    assert ends[last + 1] == "budget_wall_h 10 leaves no time for another trial and the confirmation"
    assert spent_budget(open_study(tmp_path / "none").spec, list, lambda: START) is None


def test_a_try_that_failed_was_paid_for_too(tmp_path: Path) -> None:
    changes = {"execution": {"gpus_per_worker": 2}, "confirm.enabled": False, "budget_gpu_hours": 5.0}
    spec = open_study(tmp_path, changes).spec
    four = [writer(0), trial(0) | {"status": "timeout"}, *(trial(k) for k in range(1, 4))]
    assert len(trials_of(four)) == 3
    assert spent_budget(spec, lambda: four[:-1], lambda: START) is None
    assert spent_budget(spec, lambda: four, lambda: START) is not None


def test_gpu_hours_are_those_of_all_gpus_of_trials_that_were_run(tmp_path: Path) -> None:
    changes = {"confirm.enabled": False, "execution": {"gpus_per_worker": 2}, "budget_gpu_hours": 5.0}
    spec = open_study(tmp_path, changes).spec
    now = START + timedelta(hours=99)
    three = [writer(0), *(trial(k) for k in range(3)), trial(3, reused=True)]
    assert spent_budget(spec, lambda: three, lambda: now) is None  # 3 x 0.5 x 2, and two more at most
    assert "budget_gpu_hours 5" in (spent_budget(spec, lambda: [*three, trial(4)], lambda: now) or "")


def test_gpu_hours_are_those_of_the_slot_that_a_trial_held(tmp_path: Path) -> None:
    slots = [{"count": 1, "gpus": 4}, {"count": 1}]
    changes = {"confirm.enabled": False, "execution": {"gpus_per_worker": 1, "slots": slots}, "budget_gpu_hours": 5.0}
    spec = open_study(tmp_path, changes).spec
    now = START + timedelta(hours=99)

    def why(*slots: str) -> str | None:
        records = [writer(0), *({**trial(number), "slot": slot} for number, slot in enumerate(slots))]
        return spent_budget(spec, lambda: records, lambda: now)

    assert why(*["slot-1"] * 8) is None  # 8 x 0.5 x 1, and two more at most
    assert why(*["slot-1"] * 9) is not None
    assert why("slot-0", "slot-1") is None  # 2 + 0.5, and two more of 1.25
    assert why("slot-0") is not None  # 2, and two more of 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget_gpu_hours": 1.0}, "counts GPUs"),
        ({"budget_wall_h": 1.0, "deterministic": True}, "by the clock"),
        ({"budget_wall_h": 0.0}, "budget_wall_h"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_study(tmp_path, changes)
