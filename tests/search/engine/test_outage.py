"""Trials that fail one after another without a step end a study; one that always fails ends none."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.engine.outage import OutageWatch


def ended(status: str = "failed", *, num_steps: int = 0, tries: int = 1, pack_size: int = 1) -> dict[str, Any]:
    about = {"tries": tries, "pack_size": pack_size, "error": "StorageError: access denied"}
    return {"status": status, "num_steps": num_steps, **about}


@pytest.mark.parametrize(("num_slots", "limit"), [(1, 3), (2, 4), (8, 16)])
def test_twice_what_runs_at_once_is_an_outage(num_slots: int, limit: int) -> None:
    watch = OutageWatch(num_slots)
    for _ in range(limit - 1):
        watch.see(ended())
    with pytest.raises(UserError, match=r"one after another .*access denied"):
        watch.see(ended())


def test_a_pack_that_fails_together_counts_once() -> None:
    watch = OutageWatch(1)
    for _ in range(2 * 7):
        watch.see(ended(pack_size=7))
    for _ in range(6):
        watch.see(ended(pack_size=7))
    with pytest.raises(UserError):
        watch.see(ended(pack_size=7))


@pytest.mark.parametrize("other", [ended("finished", num_steps=4), ended("oom"), ended(num_steps=1)])
def test_a_trial_that_got_further_shows_that_there_is_none(other: dict[str, Any]) -> None:
    watch = OutageWatch(1)
    for _ in range(5):
        watch.see(ended())
        watch.see(ended())
        watch.see(other)


def test_trials_that_are_tried_again_count_neither_way() -> None:
    """Else a study with three trials that always fail could never go on."""
    watch = OutageWatch(1)
    for _ in range(9):
        watch.see(ended(tries=2))
    watch.see(ended())
    watch.see(ended(tries=2))
    watch.see(ended())
    with pytest.raises(UserError):
        watch.see(ended())
