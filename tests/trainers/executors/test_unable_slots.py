"""Trials that a slot is unable to go on with fail nowhere: they are kept as they were saved, and go on later."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_packed_trials import EncodedInMemory, Told, context, specs
from trainers.backbone.backbone import Backbone
from trainers.executors import packed_trials
from trainers.executors.memory_ladder import run_packed_trials
from trainers.training.checkpoints import checkpoint_file, load_checkpoint
from trainers.trial.failures import RowsAwayError, RunStorageError


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


@pytest.fixture(scope="module")
def encoded(backbone: Backbone) -> EncodedInMemory:
    return EncodedInMemory(backbone)


@contextmanager
def no_file_beyond(num_bytes: int) -> Iterator[None]:
    """As where a disk is full: larger files cannot be written, small ones can."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("checkpoint_s", [0.0, 60.0], ids=["checkpoint", "adapter"])
def test_a_full_disk_fails_no_trial_and_it_goes_on_later(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, checkpoint_s: float
) -> None:
    told, (spec,) = Told(), specs(1)
    full = context(tmp_path, backbone, encoded, told, checkpoint_s=checkpoint_s)
    with (
        no_file_beyond(6_000),
        pytest.raises(RunStorageError, match=r"^the study directory cannot be written: File too"),
    ):
        run_packed_trials(full, [spec], attempt="1")
    assert told.ends == []
    assert not list(tmp_path.glob("trials/[!.]*"))
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="2")
    assert told.ends == [(0, "finished")]


def test_what_was_trained_before_a_result_could_not_be_written_counts(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle", "/shared/run/patient")

    told, (spec,) = Told(), specs(1)
    monkeypatch.setattr(packed_trials, "commit_attempt", away)
    with pytest.raises(RunStorageError, match=r"^the study directory cannot be written: Stale file handle$"):
        run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="1")
    assert told.ends == []
    saved = load_checkpoint(checkpoint_file(tmp_path, spec.train_id), spec.train_id)
    assert saved is not None
    assert saved.optimizer.num_steps == 3


class RowsWithoutOne(EncodedInMemory):
    """Rows of which a node has taken one partition with it."""

    def __init__(self, backbone: Backbone, away: tuple[str, str]) -> None:
        super().__init__(backbone)
        self._away = away

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[Any]:
        if (subset, split) == self._away:
            raise RowsAwayError("rows went with a node")
        return super().samples(subset, split, num_rows)


@pytest.mark.parametrize(
    ("away", "num_steps"), [(("b", "train"), None), (("u", "search"), 3)], ids=["to train on", "to be asked"]
)
def test_a_trial_whose_rows_went_with_a_node_fails_nowhere_and_goes_on_later(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, away: tuple[str, str], num_steps: int | None
) -> None:
    told, trials = Told(), specs(2)
    with pytest.raises(RowsAwayError):
        run_packed_trials(context(tmp_path, backbone, RowsWithoutOne(backbone, away), told), trials, attempt="1")
    assert told.ends == []
    assert not list(tmp_path.glob("trials/[!.]*"))
    for spec in trials:
        saved = load_checkpoint(checkpoint_file(tmp_path, spec.train_id), spec.train_id)
        assert (saved and saved.optimizer.num_steps) == num_steps
    run_packed_trials(context(tmp_path, backbone, encoded, told), trials, attempt="2")
    assert sorted(told.ends) == [(0, "finished"), (1, "finished")]
