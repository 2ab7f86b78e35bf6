"""Scores are added to weights that exist only by who holds the trial, and it says that it lives while it scores."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import NUM_QUESTIONS, ROWS, files_of, folder_of, make_spec, request
from trainers.backbone.backbone import Backbone
from trainers.executors.one_trial import run_trial
from trainers.executors.slot import SlotConfig, _Server
from trainers.trial.failures import LeaseLostError


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def test_every_batch_of_further_scores_is_a_beat(tmp_path: Path, backbone: Backbone) -> None:
    run_trial(make_spec(), ROWS, tmp_path, attempt="1", submitted_at=0.0, backbone=backbone)
    more = make_spec(evaluations=(request("t"), request("u")), eval_batch_size=1)
    beats: list[None] = []
    run_trial(
        more, ROWS, tmp_path, attempt="2", submitted_at=0.0, backbone=backbone, on_batch=lambda: beats.append(None)
    )
    assert len(beats) >= NUM_QUESTIONS


def test_who_lost_the_trial_while_scoring_writes_and_says_nothing(tmp_path: Path, backbone: Backbone) -> None:
    run_trial(make_spec(), ROWS, tmp_path, attempt="1", submitted_at=0.0, backbone=backbone)
    before = files_of(folder_of(tmp_path, make_spec()))

    def lost() -> None:
        raise LeaseLostError

    more = make_spec(evaluations=(request("t"), request("u")))
    with pytest.raises(LeaseLostError):
        run_trial(more, ROWS, tmp_path, attempt="2", submitted_at=0.0, backbone=backbone, on_batch=lost)
    assert files_of(folder_of(tmp_path, make_spec())) == before
    assert [path.name for path in tmp_path.iterdir()] == [make_spec().folder_name]
    assert not any("lora" in name for name, _ in backbone.model.named_modules())


def test_a_slot_that_must_leave_adds_no_further_scores(tmp_path: Path, backbone: Backbone) -> None:
    config = SlotConfig(
        name="a", broker=None, backbone=make_spec().backbone, rows=ROWS, run_dir=tmp_path, num_threads=1,
        measure=None, max_pack=1, checkpoint_s=60.0,
    )  # fmt: skip
    server = _Server(config, backbone, "process", None, None)
    server._beaten_at = time.monotonic() + 600  # no beat is due
    server._on_scored()
    server._is_leaving = True
    with pytest.raises(LeaseLostError):
        server._on_scored()
