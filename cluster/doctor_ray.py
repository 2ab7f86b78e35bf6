"""The checks that start or join Ray: do workers have the same Python, Ray and packages as this process?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from cluster.connect import connect, disconnect
from cluster.doctor_check import Check, Status
from cluster.errors import ClusterError
from cluster.jobs_client import open_client
from cluster.machine import find_origins

_ANSWER_TIMEOUT_S = 60.0


def check_workers(address: str | None, packages: Sequence[str]) -> Check:
    """Start Ray here, or join it at `address`, and compare a worker with this process."""
    fix = "Install the same wheel and constraints on every node, or submit with `recombine submit`."
    try:
        connection = connect(address, num_cpus=None if address else 1, dashboard=False)
    except ClusterError as error:
        return Check(name="ray", status="fail", detail=error.message, fix=error.hint or fix)
    try:
        theirs = _ask_worker(packages)
    except Exception as error:  # noqa: BLE001 - whatever a worker's start-up raises is the finding
        first_line = next(iter(str(error).strip().splitlines()), "")
        return Check(name="ray", status="fail", detail=f"{type(error).__name__}: {first_line}", fix=fix)
    finally:
        disconnect()
    ours = _describe_process(packages)
    same_machine = connection.was_started
    status, detail = _compare(ours, theirs, same_machine=same_machine)
    verb = "started a local cluster" if same_machine else f"joined {connection.address}"
    return Check(name="ray", status=status, detail=f"{verb}; {detail}", fix=fix)


def check_jobs_api(address: str) -> Check:
    """Whether the Jobs API at `address` answers with our token, and which Ray it runs."""
    import ray

    try:
        client = open_client(address)
    except ClusterError as error:
        return Check(name="ray jobs", status="fail", detail=error.message, fix=error.hint or "")
    there = client._server_ray_version or "unknown"
    return Check(
        name="ray jobs",
        status="ok" if there == ray.__version__ else "warn",
        detail=f"answers; Ray {there} there, {ray.__version__} here",
        fix="Run `recombine doctor` on the cluster too: "
        f"`recombine submit` uses its Python, and data must be reachable there. Address: {address}",
    )


def _ask_worker(packages: Sequence[str]) -> dict[str, Any]:
    import ray

    # Defined here, so that it travels by value: a worker without our packages can still answer.
    def describe(names: tuple[str, ...]) -> dict[str, Any]:
        import importlib.util
        import sys

        import ray

        origins = {}
        for name in names:
            spec = importlib.util.find_spec(name)
            origins[name] = (spec.origin or "") if spec else ""
        return {"python": sys.version.split()[0], "ray": ray.__version__, "origins": origins}

    task = ray.remote(num_cpus=0)(describe)
    answer: dict[str, Any] = ray.get(task.remote(tuple(packages)), timeout=_ANSWER_TIMEOUT_S)
    return answer


def _describe_process(packages: Sequence[str]) -> dict[str, Any]:
    import ray

    return {"python": sys.version.split()[0], "ray": ray.__version__, "origins": find_origins(packages)}


def _compare(ours: dict[str, Any], theirs: dict[str, Any], *, same_machine: bool) -> tuple[Status, str]:
    for part in ("python", "ray"):
        if ours[part] != theirs[part]:
            return "fail", f"{part} {theirs[part]} on a worker, {ours[part]} here"
    missing = [name for name, origin in theirs["origins"].items() if not origin]
    if missing:
        return "fail", f"a worker has no {', '.join(missing)}"
    moved = [name for name, origin in theirs["origins"].items() if origin != ours["origins"][name]]
    if moved:
        where = "; ".join(f"{name} from {theirs['origins'][name]}" for name in moved)
        # On another machine another folder is usual; on this one something shadows our packages.
        return ("fail" if same_machine else "warn"), f"a worker has {where}"
    return "ok", "a worker has the same Python, Ray and packages"
