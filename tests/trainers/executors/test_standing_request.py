"""A slot that has its place leaves no request with Ray's autoscaler; without an autoscaler it leaves Train's alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from trainers.executors.process_group import LoneWorker
from trainers.executors.standing_request import PlacedWorker

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def _wait_for(config: dict[str, Any]) -> None:
    Path(config["begun"]).touch()
    while not Path(config["gate"]).exists():
        time.sleep(0.05)


def _begun(worker: LoneWorker, folder: Path) -> Path:
    return folder / f"{type(worker).__name__}.begun"


def _run(worker: LoneWorker, folder: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    TorchTrainer(
        _wait_for,
        train_loop_config={"begun": str(_begun(worker, folder)), "gate": str(folder / "gate")},
        torch_config=worker,
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.5}),
        run_config=RunConfig(name=type(worker).__name__, storage_path=str(folder)),
    ).fit()


def _num_requests() -> int:
    """How many runs the coordinator asks the autoscaler for; it has no public way to tell."""
    import ray

    coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
    names: list[str] = ray.get(coordinator.__ray_call__.remote(lambda self: list(self._ongoing_reqs)))
    return sum(name.startswith("train-") for name in names)


def test_a_worker_that_has_its_place_withdraws_its_request(local_ray: None, tmp_path: Path) -> None:
    workers = [LoneWorker(), PlacedWorker()]
    runs = [threading.Thread(target=_run, args=(worker, tmp_path)) for worker in workers]
    for run in runs:
        run.start()
    try:
        while not all(_begun(worker, tmp_path).exists() for worker in workers):
            time.sleep(0.05)
        assert _num_requests() == 1
    finally:
        (tmp_path / "gate").touch()
        for run in runs:
            run.join()
    assert _num_requests() == 0
