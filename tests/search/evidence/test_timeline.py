"""Where the time went: charged once, however many shared it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.evidence.timeline import compute_phase_seconds, compute_slot_use, compute_trace, read_trial_results
from search.study.run_dir import RunDir
from tests.makers.study_fixture import finish_trial, make_factory, plan_trial
from trainers.trial.result import Span, TrialResult


def record(slot: str, started_at: float, ended_at: str, seconds: dict[str, float], **changes: Any) -> dict[str, Any]:
    fields = {
        "train_id": f"{slot}{ended_at}", "slot": slot, "started_at": started_at, "finished_at": ended_at,
        "seconds": seconds, "reused": False,
    }  # fmt: skip
    return fields | changes


TRIALS = [
    record("a", 0.0, "1970-01-01T00:00:10+00:00", {"queue": 5.0, "train": 6.0, "score": 1.0}),
    record("a", 10.0, "1970-01-01T00:00:20+00:00", {"queue": 9.0, "train": 7.0}),
    record("b", 0.0, "1970-01-01T00:00:20+00:00", {"train": 20.0}),
    record("b", 0.0, "1970-01-01T00:00:20+00:00", {"train": 20.0}, reused=True),
    record(
        "a", 0.0, "1970-01-01T00:00:10+00:00", {"queue": 5.0, "train": 6.0, "score": 1.0}
    ),  # scored on `sealed` later
    {"train_id": "old", "reused": False},  # of a study before slots were recorded
]


def test_seconds_are_summed_by_phase_without_what_was_reused() -> None:
    totals = compute_phase_seconds(TRIALS)
    assert totals == {"queue": 14.0, "startup": 0.0, "data": 0.0, "train": 33.0, "score": 1.0, "checkpoint": 0.0}


def test_a_slot_is_busy_while_it_works_on_anything() -> None:
    first, second = compute_slot_use(TRIALS)
    assert (first.slot, first.num_trials, first.busy_s, first.wall_s) == ("a", 2, 14.0, 20.0)
    assert first.busy_share == pytest.approx(0.7)
    assert (second.slot, second.num_trials, second.busy_share) == ("b", 1, 1.0)


def spans(*parts: tuple[str, float, float], sharing: int = 1) -> tuple[Span, ...]:
    return tuple(
        Span.model_validate({"phase": phase, "started_at": start, "duration_s": length, "sharing": sharing})
        for phase, start, length in parts
    )


def result(slot: str | None, *parts: tuple[str, float, float], sharing: int = 1) -> TrialResult:
    return TrialResult(
        train_id="x", status="finished", num_train_samples=1, num_steps=1, train_s=1.0, startup_s=0.0, evaluations=(),
        adapter_sha256=None, slot=slot, spans=spans(*parts, sharing=sharing),
    )  # fmt: skip


def test_a_trial_is_charged_its_share() -> None:
    one = result("a", ("queue", 0.0, 4.0), ("train", 4.0, 8.0), ("score", 12.0, 2.0), sharing=2)
    assert one.seconds == {"queue": 2.0, "train": 4.0, "score": 1.0}
    joined = result("a", ("train", 0.0, 8.0), ("data", 0.0, 1.0))
    assert joined.seconds == {"train": 7.0, "data": 1.0}  # joining batches lies within training


def test_the_trace_shows_packs_side_by_side_and_others_one_after_the_other() -> None:
    pack = [(f"p{i}", result("a", ("queue", 0.0, 1.0), ("train", 1.0, 4.0), sharing=2)) for i in range(2)]
    later = ("later", result("a", ("train", 6.0, 1.0)))
    other = ("other", result(None, ("train", 0.0, 1.0)))
    events = compute_trace([*pack, later, other])["traceEvents"]
    bars = [e for e in events if e["ph"] == "X"]
    assert {e["args"]["name"] for e in events if e["ph"] == "M"} == {"a", "own process"}
    rows = {e["args"]["trial"]: (e["pid"], e["tid"]) for e in bars}
    assert rows["p0"][0] == rows["p1"][0] == rows["later"][0] != rows["other"][0]
    assert {rows["p0"][1], rows["p1"][1]} == {0, 1}
    assert rows["later"][1] == 0
    assert {e["name"] for e in bars} == {"train"}  # waiting is no bar of the slot
    assert [e["dur"] for e in bars if e["args"]["trial"] == "later"] == [1_000_000]
    json.dumps(events)


def test_folders_that_are_being_written_are_left_out(tmp_path: Path) -> None:
    planned = plan_trial(make_factory(tmp_path / "study"), {"ct-lung": 4})
    folder = finish_trial(tmp_path / "run", planned)
    (folder.parent / ".working").mkdir()
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "trial.json").write_text("{")
    assert [name for name, _ in read_trial_results(RunDir(tmp_path / "run"))] == [folder.name]
