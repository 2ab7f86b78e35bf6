"""One trial through real Ray Train runs: in this process, with one worker, with two workers (DDP)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import torch
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2.api.exceptions import ControllerError
from safetensors.torch import load_file

from tests.makers.families import toy_rows
from tests.makers.table_rows import TableRows
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import BackboneSpec
from trainers.executors.nested import run_nested_trial
from trainers.executors.rescore import rescore_trials
from trainers.executors.resources import TrialResources
from trainers.recipe import Recipe
from trainers.trial.folder import ADAPTER_DIR, read_outcomes
from trainers.trial.result import TrialResult
from trainers.trial.spec import EvalRequest, TrialSpec

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]
BACKBONE = BackboneSpec().resolved(gpus_per_worker=0)
SPEC = TrialSpec(
    backbone=BACKBONE,
    backbone_fingerprint=backbone_fingerprint(BACKBONE),
    composition={"toy": 8},
    rows_digest="toy-rows",
    recipe=Recipe(num_steps=3, batch_size=4),
    seed=5,
    evaluations=(EvalRequest(eval_set="toy", split="search", fingerprint="toy", exposure="in_domain"),),
)


@dataclass(frozen=True, kw_only=True)
class NotedRows(TableRows):
    """Rows that note which processes read them, and how many sockets each listens on."""

    readers: Path

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        connections = psutil.Process().net_connections(kind="tcp")
        num_listening = [each.status for each in connections].count(psutil.CONN_LISTEN)
        (self.readers / str(os.getpid())).write_text(str(num_listening))
        return TableRows.read(self, subset, split, num_rows)


@dataclass(frozen=True)
class Ran:
    folder: Path
    result: TrialResult
    num_listening: Sequence[int]  # sockets of each worker


@pytest.fixture(scope="module")
def rows(local_ray: None) -> TableRows:
    return TableRows(tables={("toy", split): toy_rows(9) for split in ("train", "search", "sealed")})


@pytest.fixture(scope="module")
def ran(rows: TableRows, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Ran]:
    """The same trial by number of workers."""
    done: dict[int, Ran] = {}
    for num_workers in (0, 1, 2):
        run_dir = tmp_path_factory.mktemp(f"workers-{num_workers}")
        readers = tmp_path_factory.mktemp("readers")
        resources = TrialResources(num_workers=num_workers)
        noted = NotedRows(tables=rows.tables, readers=readers)
        result = run_nested_trial(SPEC, noted, run_dir, resources, submitted_at=time.time())
        num_listening = [int(path.read_text()) for path in readers.iterdir()]
        done[num_workers] = Ran(run_dir / "trials" / SPEC.folder_name, result, num_listening)
    return done


def _weights(ran: Ran) -> torch.Tensor:
    tensors = load_file(ran.folder / ADAPTER_DIR / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


def test_one_worker_is_bit_for_bit_the_local_mode(ran: dict[int, Ran]) -> None:
    assert ran[1].result.status == "finished"
    assert torch.equal(_weights(ran[0]), _weights(ran[1]))
    assert read_outcomes(ran[0].folder).equals(read_outcomes(ran[1].folder))


def test_a_lone_worker_listens_as_any_process_of_ray_does(ran: dict[int, Ran]) -> None:
    assert ran[1].num_listening == [1]
    assert min(ran[2].num_listening) > 1  # torch's, which ask for no token: docs/security.md


def test_two_workers_do_the_same_experiment(ran: dict[int, Ran]) -> None:
    assert ran[2].result.status == "finished"
    # The sum of a batch is cut in two, so the last digits differ: Adam turns 1e-7 in a gradient into 1e-4 at most.
    assert torch.allclose(_weights(ran[0]), _weights(ran[2]), atol=2e-3)
    one, two = read_outcomes(ran[0].folder), read_outcomes(ran[2].folder)
    assert two["sample_id"].equals(one["sample_id"])  # every question once, in order
    for a, b in zip(one["log_probs"].to_pylist(), two["log_probs"].to_pylist(), strict=True):
        assert a == pytest.approx(b, abs=0.05)


def test_known_weights_get_new_scores_without_training(ran: dict[int, Ran], rows: TableRows) -> None:
    before = (ran[0].folder / ADAPTER_DIR / "adapter_model.safetensors").read_bytes()
    sealed = EvalRequest(eval_set="toy", split="sealed", fingerprint="toy", exposure="in_domain", generate=True)
    spec = SPEC.model_copy(update={"evaluations": (sealed,)})
    (result,) = rescore_trials([spec], rows, ran[0].folder.parents[1], [TrialResources()] * 2)
    assert {e.split for e in result.evaluations} == {"search", "sealed"}
    assert result.train_s == ran[0].result.train_s
    assert (ran[0].folder / ADAPTER_DIR / "adapter_model.safetensors").read_bytes() == before
    outcomes = read_outcomes(ran[0].folder).to_pandas()
    assert len(outcomes) == 18
    scored = outcomes.pivot(index="sample_id", columns="split", values="correct")
    assert (scored["search"] == scored["sealed"]).all()  # same questions, same weights


def test_a_trial_that_cannot_be_trained_says_why(rows: TableRows, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"composition": {"absent": 4}})
    result = run_nested_trial(spec, rows, tmp_path, TrialResources(num_workers=0), submitted_at=time.time())
    assert result.status == "failed"
    assert "absent" in (result.error or "")


def test_a_trial_that_fails_on_two_workers_is_not_trained_again(rows: TableRows, tmp_path: Path) -> None:
    readers = tmp_path / "readers"
    readers.mkdir()
    spec = SPEC.model_copy(update={"composition": {"toy": 400}})  # there are nine
    counted = NotedRows(tables=rows.tables, readers=readers)
    result = run_nested_trial(spec, counted, tmp_path, TrialResources(num_workers=2), submitted_at=time.time())
    assert result.status == "failed"
    assert "400 were asked for" in (result.error or "")
    assert len(list(readers.iterdir())) == 2  # one process a worker, not two


def test_a_trial_waits_for_room_for_longer_than_train_does(
    rows: TableRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "0.5")  # of a minute, four times
    others = ray.util.placement_group([{"CPU": 1.0}] * int(ray.cluster_resources()["CPU"]))
    assert others.wait(60)
    said: list[str] = []

    def on_wait(words: str) -> None:
        """Make room before the next request: Ray may lose a place that it gives in the moment it is withdrawn."""
        said.append(words)
        monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "60")
        ray.util.remove_placement_group(others)

    asked_at = time.time()
    result = run_nested_trial(SPEC, rows, tmp_path, TrialResources(), submitted_at=asked_at, on_wait=on_wait)
    assert result.status == "finished"
    assert len(said) == 1
    assert said[0].startswith("1 times {'CPU': 1.0}; free are {'CPU': 0.0}; nodes that hold one have other work")
    queued = result.spans[0]
    assert (queued.phase, queued.started_at) == ("queue", asked_at)
    assert queued.duration_s > 4 * 0.5
    assert sum(span.duration_s for span in result.spans) <= time.time() - asked_at
    assert result.startup_s == result.seconds["startup"]


class _NoRoomAfter:
    """In place of a Train run: its workers have died so often, and it ends while it waits for room for new ones."""

    num_runs = 0

    def __init__(self, given: Any, *_: Any, **__: Any) -> None:
        self._begun = Path(given["begun"])

    def fit(self) -> None:
        type(self).num_runs += 1
        self._begun.parent.mkdir(parents=True)
        self._begun.touch()
        raise ControllerError(WorkerGroupStartupTimeoutError(1))


def test_a_trial_whose_workers_die_does_not_wait_for_room_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.executors.nested._trainer", _NoRoomAfter)
    resources = TrialResources(max_failures=2)
    result = run_nested_trial(SPEC, TableRows(tables={}), tmp_path, resources, submitted_at=time.time())
    assert _NoRoomAfter.num_runs == 3
    assert result.error == "its worker processes died (ControllerError <- WorkerGroupStartupTimeoutError)"


def test_the_dashboard_reads_study_and_phase_in_a_runs_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.train.torch

    names = []

    class Trainer:
        def __init__(self, worker: Any, *, run_config: Any, **options: Any) -> None:
            names.append(run_config.name)

        def fit(self) -> None:
            raise RuntimeError

    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Trainer)
    rows = TableRows(tables={})
    run_nested_trial(SPEC, rows, tmp_path, TrialResources(), submitted_at=0.0, label="my-study-confirm")
    assert names[0].startswith(f"my-study-confirm-{SPEC.folder_name}-")
