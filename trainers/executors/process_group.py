"""How the workers of a trial are joined: torch's process group where there are several, nothing where there is one."""

from __future__ import annotations

from typing import Any

from ray.train.backend import Backend
from ray.train.torch import TorchConfig

from trainers.executors.standing_request import Withdrawing, WithdrawingGroup


class LoneWorker(TorchConfig):  # type: ignore[misc]
    """Torch in one worker, without the process group that `TorchTrainer` otherwise starts there, too.

    Its store and its transport listen on every interface, ask for no token, and nobody has to join them.
    """

    @property
    def backend_cls(self) -> Any:
        """Train's backend that starts nothing."""
        return Backend


class PlacedWorker(LoneWorker):
    """A lone worker on a cluster whose nodes come and go."""

    @property
    def backend_cls(self) -> Any:
        """Train's backend that withdraws the request and starts nothing."""
        return Withdrawing


class PlacedGroup(TorchConfig):  # type: ignore[misc]
    """Several workers on such a cluster."""

    @property
    def backend_cls(self) -> Any:
        """Torch's own backend, which withdraws the request besides."""
        return WithdrawingGroup


def torch_config(num_workers: int, *, nodes_go: bool) -> TorchConfig:
    """Return what joins so many workers.

    Args:
        num_workers: 0 is Ray Train's local mode.
        nodes_go: whether idle nodes go.
    """
    if num_workers > 1:
        return PlacedGroup() if nodes_go else TorchConfig()
    return PlacedWorker() if nodes_go else LoneWorker()
