"""One private Ray cluster on this machine: sized modestly, with its own ports, folder and token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.auth import ensure_local_token, turn_on_token_auth
from cluster.errors import ClusterError
from cluster.machine import GIB, count_cpus, shared_memory_gib, total_memory_gib
from cluster.ray_start import init_ray
from cluster.runtime_dir import RuntimeDir

# Shared blocks take a share of memory, at most what stays sensible on a workstation; Ray spills beyond.
_STORE_SHARE = 0.2
_STORE_MOST_GIB = 8.0
_STORE_LEAST_GIB = 0.125  # Ray refuses less than 75 MiB
_SHM_SHARE = 0.7
_SHM_USABLE_GIB = 0.25  # a container's default /dev/shm has 64 MiB


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalOptions:
    """What a local cluster gets; see `cluster.connect.connect` for the meaning of each."""

    num_cpus: int | None = None
    num_gpus: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    object_store_gib: float | None = None
    dashboard: bool = True
    temp_dir: Path | None = None
    log_to_driver: bool = False


def start_local(options: LocalOptions) -> tuple[RuntimeDir, list[str]]:
    """Start Ray's processes and attach this process to them.

    Returns:
        The cluster's folder, to be removed after `ray.shutdown()`, and the automatic decisions taken.

    Raises:
        ClusterError: Ray's processes did not come up.
    """
    ensure_local_token()
    turn_on_token_auth()
    notes: list[str] = []
    num_cpus = _choose_cpus(options.num_cpus, notes)
    store_bytes = _choose_store_bytes(options.object_store_gib, notes)
    runtime_dir = RuntimeDir(options.temp_dir)
    import ray

    try:
        init_ray(
            notes.append,
            address="local",
            num_cpus=num_cpus,
            num_gpus=options.num_gpus,
            resources=dict(options.resources) or None,
            object_store_memory=store_bytes,
            include_dashboard=options.dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=options.log_to_driver,
            logging_level="warning",
            _temp_dir=str(runtime_dir.path),
        )
    except Exception as error:
        ray.shutdown()
        runtime_dir.remove()
        raise ClusterError(
            f"Ray did not start on this machine ({type(error).__name__}: {error}).",
            hint="Run `recombine doctor` to check memory, shared memory, disk and the token.",
        ) from error
    except BaseException:  # Ctrl-C while starting
        ray.shutdown()
        runtime_dir.remove()
        raise
    return runtime_dir, notes


def _choose_cpus(wanted: int | None, notes: list[str]) -> int:
    available = count_cpus()
    if wanted is None:
        return available
    if wanted < 1:
        raise ClusterError(f"num_cpus is {wanted}.", hint="Give 1 or more, or leave it out.")
    if wanted > available:
        notes.append(f"num_cpus: {available} instead of {wanted}, because this machine has no more.")
    return min(wanted, available)


def _choose_store_bytes(wanted_gib: float | None, notes: list[str]) -> int:
    """Size of the shared blocks' memory, in bytes."""
    memory_gib = total_memory_gib()
    chosen = min(_STORE_SHARE * memory_gib, _STORE_MOST_GIB)
    if wanted_gib is not None:
        chosen = min(wanted_gib, 0.5 * memory_gib)
        if chosen < wanted_gib:
            notes.append(f"shared blocks: {chosen:.1f} GiB instead of {wanted_gib:g}: half of this machine's memory.")
    shared_gib = shared_memory_gib()
    if shared_gib is not None and shared_gib >= _SHM_USABLE_GIB:
        chosen = min(chosen, _SHM_SHARE * shared_gib)
    elif shared_gib is not None:
        notes.append(f"shared blocks are on disk: /dev/shm has {shared_gib:.2f} GiB (containers: --shm-size=4g).")
    return int(max(chosen, _STORE_LEAST_GIB) * GIB)
