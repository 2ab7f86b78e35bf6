"""Start a local Ray cluster or join one, safely and without surprises."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from cluster.auth import TOKEN_HINT, find_token, is_loopback, refuse_unsafe_environment, turn_on_token_auth
from cluster.errors import ClusterError
from cluster.local import LocalOptions, start_local
from cluster.runtime_dir import RuntimeDir

# Each is set only where the user has not. Beside each: what Ray 2.60 does otherwise.
_ALWAYS = {
    # Train polls its workers every 2 s and takes one report a poll; trials here last seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A thread that outlives the connection would start a whole new cluster by its next call.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # Under `uv run` every worker would resolve the whole environment again (ray#50961).
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
# Nobody reclaims a laptop, and the watcher is one process more for each trial (about 4.5 CPU-s).
# A study's slots, their controllers and Tune's proxies are more processes than a small machine has processors: that
# is meant, and four times this number is where Ray begins to warn of it.
_LOCAL = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_worker_maximum_startup_concurrency": "8"}
# The dashboard's Train tab answers 500 without it.
_DASHBOARD = {"RAY_TRAIN_ENABLE_STATE_TRACKING": "1"}
_REACH_TIMEOUT_S = 5.0
# Where no raylet of the cluster runs beside the driver: `get_node_to_connect_for_driver` and _raylet.so (2.60).
_NO_LOCAL_NODE = ("No node info found matching", "cannot find a local Raylet")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConnection:
    """A live connection to Ray.

    Attributes:
        address: Address of the cluster's control store, host:port.
        dashboard_url: http://... where a dashboard runs, else None.
        was_started: Whether connect() started this cluster, so that disconnect() ends it.
        resources: What Ray may schedule: CPU, GPU, memory (bytes), custom resources.
        notes: Automatic decisions, one sentence each, for the terminal.
    """

    address: str
    dashboard_url: str | None
    was_started: bool
    resources: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Session:
    connection: ClusterConnection
    runtime_dir: RuntimeDir | None


_session: _Session | None = None
_Handler = Callable[[int, FrameType | None], Any] | int | None


def connect(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    dashboard: bool = True,
    temp_dir: Path | None = None,
    log_to_driver: bool = False,
    num_gpus: int | None = None,
    resources: Mapping[str, float] | None = None,
    object_store_gib: float | None = None,
) -> ClusterConnection:
    """Join the cluster at `address`, or start one on this machine.

    Without an address RAY_ADDRESS decides (Ray sets it inside a submitted job); without that, a private local
    cluster is started: token on, dashboard on 127.0.0.1, ports and folder of its own, so that several studies
    may run side by side. Called while connected, it returns the connection there is.

    Args:
        address: "host:6379"; "auto" for a cluster already on this machine; "local" for a new one, whatever
            RAY_ADDRESS says.
        num_cpus: Processors of a local cluster; never more than the machine's.
        dashboard: Whether a local cluster has the dashboard.
        temp_dir: Where a local cluster's private folder goes; a short path, for sockets live in it.
        log_to_driver: Whether workers' output is copied to this process's terminal.
        num_gpus: GPUs of a local cluster; None takes what is visible.
        resources: Custom resources of a local cluster.
        object_store_gib: Memory for shared blocks of a local cluster; None takes a fifth, at most 8 GiB.

    Raises:
        ClusterError: Unsafe settings, an address where nobody answers, a missing or wrong token.
    """
    global _session
    refuse_unsafe_environment()
    if _session is not None:
        return _session.connection
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    _apply_defaults(is_local=target == "local", has_dashboard=dashboard)
    import ray

    end_on_sigterm = _sigterm_handler()
    if ray.is_initialized():  # by someone else, who also ends it
        return _describe(was_started=False, notes=())
    options = LocalOptions(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources=resources or {},
        object_store_gib=object_store_gib,
        dashboard=dashboard,
        temp_dir=temp_dir,
        log_to_driver=log_to_driver,
    )
    _session = _started(options) if target == "local" else _joined(target, options)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end_on_sigterm)
    # Registered after Ray's own, hence run before it: the folder goes when the processes have gone.
    atexit.register(disconnect)
    return _session.connection


def disconnect() -> None:
    """Leave the cluster, and end it where connect() started it. Safe to call twice."""
    global _session
    atexit.unregister(disconnect)
    session, _session = _session, None
    if session is None:
        return
    import ray

    ray.shutdown()
    if session.runtime_dir is not None:
        session.runtime_dir.remove()


def _sigterm_handler() -> _Handler:
    """What SIGTERM did before Ray: its C++ handler aborts the process in `ray.get` (measured with 2.60)."""
    before = signal.getsignal(signal.SIGTERM)
    return before if callable(before) or before == signal.SIG_IGN else _exit_on_signal


def _exit_on_signal(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _started(options: LocalOptions) -> _Session:
    runtime_dir, notes = start_local(options)
    return _Session(connection=_describe(was_started=True, notes=notes), runtime_dir=runtime_dir)


def _joined(address: str, options: LocalOptions) -> _Session:
    _join(address, log_to_driver=options.log_to_driver)
    sizes = (options.num_cpus, options.num_gpus, options.resources or None, options.object_store_gib)
    is_sized = any(size is not None for size in sizes)
    notes = [f"joined {address}: its size is its own, the sizes given are not used."] if is_sized else []
    return _Session(connection=_describe(was_started=False, notes=notes), runtime_dir=None)


def _join(address: str, *, log_to_driver: bool) -> None:
    _check_address(address)
    token = find_token()
    host, _, port = address.rpartition(":")
    if address != "auto":
        if token is None and not is_loopback(host) and _is_token_mode():
            raise ClusterError(f"No token for the cluster at {address}.", hint=TOKEN_HINT)
        _check_reachable(host, int(port))
    if token is not None:
        turn_on_token_auth()
    import ray

    try:
        ray.init(address=address, log_to_driver=log_to_driver, logging_level="error")
    except ray.exceptions.AuthenticationError as error:
        raise ClusterError(f"The cluster at {address} refused the token.", hint=TOKEN_HINT) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _explain_refusal(address, error) from error


def _explain_refusal(address: str, error: Exception) -> ClusterError:
    if any(words in f"{error} {error.__cause__}" for words in _NO_LOCAL_NODE):
        return ClusterError(
            f"This machine is no node of the cluster at {address}, and Ray drives a cluster only from one.",
            hint="Run it on a node, or send it to one: `recombine submit STUDY --address ADDRESS`.",
        )
    if isinstance(error, ConnectionError):
        # The port was open a moment ago; Ray says no more than this when the token is not the cluster's.
        return ClusterError(
            f"{address} answers, but Ray there does not let us in: another token, or not a Ray head node.",
            hint=TOKEN_HINT,
        )
    return ClusterError(
        f"Joining the cluster at {address} failed ({type(error).__name__}: {error}).",
        hint="Ray and Python must have the same versions on both sides; see `recombine doctor`.",
    )


def _is_token_mode() -> bool:
    # The other mode, k8s, takes its credentials from the pod's service account.
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"


def _check_address(address: str) -> None:
    """Tell the three kinds of address apart before Ray answers with something less clear."""
    if address.startswith(("http://", "https://")):
        raise ClusterError(
            f"{address} is a dashboard's address: studies are submitted to it, not joined through it.",
            hint=f"Use `recombine submit ... --address {address}`, or the cluster's own host:6379.",
        )
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address} asks for the Ray Client, which cannot run Ray Train.",
            hint="Submit the study with `recombine submit`, or run it on the head node with host:6379.",
        )
    if address != "auto" and not address.rpartition(":")[2].isdigit():
        raise ClusterError(f"{address} has no port.", hint=f"Try {address}:6379, Ray's usual one.")


def _check_reachable(host: str, port: int) -> None:
    """Ray itself would try for minutes."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_REACH_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"Nobody answers at {host}:{port} ({error.strerror or 'no answer in 5 s'}).",
            hint="Is the head node up, its port open to this machine, and the address its internal one?",
        ) from error


def _apply_defaults(*, is_local: bool, has_dashboard: bool) -> None:
    defaults = dict(_ALWAYS)
    if is_local:
        defaults |= _LOCAL
    if has_dashboard:
        defaults |= _DASHBOARD
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _describe(*, was_started: bool, notes: Sequence[str]) -> ClusterConnection:
    import ray
    from ray._private.worker import global_worker

    url = global_worker.node.address_info.get("webui_url") if global_worker.node else None
    # Entries such as node:10.0.0.1 are Ray's own bookkeeping.
    resources = {name: float(n) for name, n in ray.cluster_resources().items() if not name.startswith("node:")}
    return ClusterConnection(
        address=ray.get_runtime_context().gcs_address,
        dashboard_url=f"http://{url}" if url else None,
        was_started=was_started,
        resources=resources,
        notes=tuple(notes),
    )
