from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from cluster.metrics import StudyMetrics
from datasets_spec.errors import UserError
from search.cli.exported_metrics import ExportedMetrics
from search.study.run_dir import RunDir
from tests.makers.finished_run import finished_study
from tests.makers.study_fixture import open_study


def record(train_id: str, accuracy: float, *, reused: bool = False) -> dict[str, Any]:
    score = {"eval_set": "mr-lung", "split": "search", "accuracy": accuracy}
    return {
        "train_id": train_id,
        "status": "finished",
        "reused": reused,
        "recipe": {"batch_size": 4},
        "num_steps": 10,
        "num_tokens": 400,
        "train_s": 2.0,
        "slot": "slot-0",
        "seconds": {"queue": 9.0, "train": 1800.0},
        "evaluations": [score, {**score, "split": "confirm", "accuracy": 1.0}],
    }


def test_what_was_trained_is_counted_once_and_the_best_is_shown(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"execution.prices": {"cpu": 2.0}, "execution.currency": "EUR"})
    metrics = create_autospec(StudyMetrics, instance=True)
    exported = ExportedMetrics(metrics, study, [RunDir(tmp_path / "run")])
    scored_again = {**record("a", 0.5), "stage": "sealed"}
    for each in (record("a", 0.5), record("b", 0.25), record("a", 0.5, reused=True), scored_again):
        exported.on_record(each)
    trained = [call.kwargs for call in metrics.count_trained.call_args_list]
    assert [each["num_samples"] for each in trained] == [40, 40, 0, 0]
    assert [each["num_tokens"] for each in trained] == [400, 400, 0, 0]
    metrics.set_ended.assert_called_with({"finished": 4})
    price = study.spec.execution.slot_prices_per_h[0]
    metrics.set_spent.assert_called_with(busy_h=1.0, cost=price, currency="EUR")
    metrics.set_best_accuracy.assert_called_once_with("mr-lung", 0.5)


def test_a_resumed_study_goes_on_from_what_it_spent_and_reached(tmp_path: Path) -> None:
    study, run_dir = finished_study(tmp_path)
    metrics = create_autospec(StudyMetrics, instance=True)
    exported = ExportedMetrics(metrics, study, [run_dir])
    trials = run_dir.read_trials()
    best: Counter[str] = Counter()
    for trial in trials:
        for score in trial["evaluations"]:
            if score["split"] == "search":
                best[score["eval_set"]] = max(best[score["eval_set"]], score["accuracy"])
    told = dict(call.args for call in metrics.set_best_accuracy.call_args_list)
    assert told == dict(best)
    metrics.count_trained.assert_not_called()  # of which rates are shown
    num_ended = Counter(trial["status"] for trial in trials)
    metrics.set_ended.assert_called_once_with(num_ended)
    hours = {trial["train_id"]: sum(trial["seconds"].values()) / 3600 for trial in trials if not trial["reused"]}
    assert metrics.set_spent.call_args.kwargs["busy_h"] == pytest.approx(sum(hours.values()))
    exported.on_record(record("new", 0.5))
    metrics.set_ended.assert_called_with(num_ended + Counter(finished=1))


def test_only_a_study_that_has_ended_says_so(tmp_path: Path) -> None:
    """One that was stopped or failed has not: nothing drives it, and it is to be gone on with."""
    study = open_study(tmp_path)
    for error in (None, KeyboardInterrupt(), UserError("no room")):
        metrics = create_autospec(StudyMetrics, instance=True)
        with suppress(KeyboardInterrupt, UserError), ExportedMetrics(metrics, study, [RunDir(tmp_path / "run")]):
            if error is not None:
                raise error
        metrics.close.assert_called_once_with(has_ended=error is None)
