"""How the workers of a trial are joined: torch's process group where there are several, nothing where there is one."""

from __future__ import annotations

from typing import Any

from ray.train.backend import Backend
from ray.train.torch import TorchConfig


class LoneWorker(TorchConfig):  # type: ignore[misc]
    """Torch in one worker, without the process group that `TorchTrainer` otherwise starts there, too.

    Its store and its transport listen on every interface, ask for no token, and nobody has to join them.
    """

    @property
    def backend_cls(self) -> Any:
        """Train's backend that starts nothing."""
        return Backend


def torch_config(num_workers: int) -> TorchConfig:
    """Return what joins so many workers; 0 is Ray Train's local mode."""
    return TorchConfig() if num_workers > 1 else LoneWorker()
