"""What a run has asked Ray's autoscaler for, taken back once it has its place.

Ray counts a standing request on whichever nodes come first in its list, and keeps these, idle or not, while it lets
those go that it did not count on (autoscaler/v2/scheduler.py, `_enforce_idle_termination`, 2.60): a node with nothing
to do may stay for as long as another one works. A node that works is not idle, and needs no request to stay.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from ray.train.backend import Backend
from ray.train.torch import TorchConfig


class Withdrawing(Backend):  # type: ignore[misc]
    """Starts nothing: told in Train's controller that the worker runs, it withdraws the controller's request."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Withdraw the request."""
        _withdraw(worker_group)


class WithdrawingGroup(TorchConfig().backend_cls):  # type: ignore[misc]
    """Joins several workers as torch does, and withdraws the request for them."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Join them, then withdraw."""
        super().on_start(worker_group, backend_config)
        _withdraw(worker_group)


def _withdraw(worker_group: Any) -> None:
    """Withdraw the request for good: of this run alone, for its controller has a process of its own."""
    with suppress(ImportError, AttributeError):  # Train has no public way; without it, nodes go later
        from ray.train.v2._internal.execution.scaling_policy import autoscaling_coordinator_client as client

        run_id = worker_group._train_run_context.run_id
        client.AUTOSCALING_REQUESTS_INTERVAL_S = math.inf  # it would be renewed every 20 s
        client.TrainAutoscalingCoordinatorClient(f"train-{run_id}").cancel_resource_request()
