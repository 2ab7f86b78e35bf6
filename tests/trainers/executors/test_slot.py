"""What a slot tells of trials whose weights it found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import ROWS, make_spec, request
from trainers.executors import one_trial
from trainers.executors.broker import Work
from trainers.executors.one_trial import run_trial
from trainers.executors.slot import SlotConfig, _Server


def test_scores_that_could_not_be_added_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    report = SimpleNamespace(remote=lambda ticket, event: told.append(event))
    config = SlotConfig(
        name="a", broker=SimpleNamespace(report=report), backbone=make_spec().backbone, rows=ROWS, run_dir=tmp_path,
        num_threads=1, measure=None, max_pack=1, checkpoint_s=60.0,
    )  # fmt: skip
    backbone, more = tiny_backbone("llava"), make_spec(evaluations=(request("t"), request("u")))
    run_trial(make_spec(), ROWS, tmp_path / "trials", attempt="1", submitted_at=0.0, backbone=backbone)
    server = _Server(config, backbone, "process", None, None)
    server._work = Work(ticket="t", specs={}, submitted_at=0.0)

    def stale(*args: Any, **options: Any) -> Any:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(one_trial, "score_rows", stale)
    server._score_known(more, server._work)
    (event,) = told
    assert (event["train_id"], event["ended"]) == (more.train_id, "failed")
    assert event["error"].startswith("OSError at test_slot.py:")
