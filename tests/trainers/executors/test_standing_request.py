"""Workers that have their place leave no request with Ray's autoscaler; without one, Train's is left alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from trainers.executors.process_group import torch_config

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def _wait_for(config: dict[str, Any]) -> None:
    import ray.train
    import torch.distributed

    assert torch.distributed.is_initialized() is (ray.train.get_context().get_world_size() > 1)
    Path(config["begun"]).touch()
    while not Path(config["gate"]).exists():
        time.sleep(0.05)


def _run(num_workers: int, nodes_go: bool, folder: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    name = f"{num_workers}-{nodes_go}"
    TorchTrainer(
        _wait_for,
        train_loop_config={"begun": str(folder / f"{name}.begun"), "gate": str(folder / "gate")},
        torch_config=torch_config(num_workers, nodes_go=nodes_go),
        scaling_config=ScalingConfig(num_workers=num_workers, resources_per_worker={"CPU": 0.5}),
        run_config=RunConfig(name=name, storage_path=str(folder)),
    ).fit()


def _num_requests() -> int:
    """How many runs the coordinator asks the autoscaler for; it has no public way to tell."""
    import ray

    coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
    names: list[str] = ray.get(coordinator.__ray_call__.remote(lambda self: list(self._ongoing_reqs)))
    return sum(name.startswith("train-") for name in names)


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_that_have_their_place_withdraw_their_request(
    local_ray: None, tmp_path: Path, num_workers: int
) -> None:
    kinds = ((1, False), (num_workers, True))
    runs = [threading.Thread(target=_run, args=(*kind, tmp_path)) for kind in kinds]
    for run in runs:
        run.start()
    try:
        while len(list(tmp_path.glob("*.begun"))) < len(kinds) and all(run.is_alive() for run in runs):
            time.sleep(0.05)
        assert _num_requests() == 1
    finally:
        (tmp_path / "gate").touch()
        for run in runs:
            run.join()
    assert _num_requests() == 0
