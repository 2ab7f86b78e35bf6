"""The checks that start or join Ray: are workers, and all nodes of a cluster, fit for a study?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.connect import connect, disconnect
from cluster.doctor.check import Check, Status
from cluster.doctor.node_checks import judge_nodes
from cluster.doctor.node_facts import compared_versions, gather
from cluster.errors import ClusterError
from cluster.jobs_client import open_client
from cluster.machine import find_origins

_ANSWER_TIMEOUT_S = 60.0
_FIX = "Install the same wheel and constraints on every node, or submit with `recombine submit`."


def check_nodes(address: str, directory: Path, packages: Sequence[str]) -> list[Check]:
    """Join the cluster at `address` and ask every node of it; `directory` is where studies will be written."""
    import ray

    try:
        connection = connect(address, dashboard=False)
        facts = gather(directory, packages)
    except ClusterError as error:
        return [Check(name="ray", status="fail", detail=error.message, fix=error.hint or _FIX)]
    except ray.exceptions.RayError as error:  # before OSError: some of Ray's are both
        return [Check(name="ray", status="fail", detail=_told(error), fix="Is the head node still up? Ask again.")]
    except OSError as error:
        return [
            Check(name="ray", status="fail", detail=f"{directory}: {error.strerror}", fix="Start it where studies are.")
        ]
    finally:
        disconnect()
    joined = Check(name="ray", status="ok", detail=f"joined {connection.address}", fix=_FIX)
    return [joined, *judge_nodes(facts, compared_versions(), directory)]


def check_workers(packages: Sequence[str]) -> Check:
    """Start Ray here and compare a worker with this process."""
    fix = _FIX
    try:
        connect("local", num_cpus=1, dashboard=False)
    except ClusterError as error:
        return Check(name="ray", status="fail", detail=error.message, fix=error.hint or fix)
    try:
        theirs = _ask_worker(packages)
    except Exception as error:  # noqa: BLE001 - whatever a worker's start-up raises is the finding
        return Check(name="ray", status="fail", detail=_told(error), fix=fix)
    finally:
        disconnect()
    ours = _describe_process(packages)
    status, detail = _compare(ours, theirs)
    return Check(name="ray", status=status, detail=f"started a local cluster; {detail}", fix=fix)


def _told(error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}"


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
        fix="The job below asks every node: a study uses their Python and Ray, and its data must be reachable there.",
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


def _compare(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[Status, str]:
    for part in ("python", "ray"):
        if ours[part] != theirs[part]:
            return "fail", f"{part} {theirs[part]} on a worker, {ours[part]} here"
    missing = [name for name, origin in theirs["origins"].items() if not origin]
    if missing:
        return "fail", f"a worker has no {', '.join(missing)}"
    moved = [name for name, origin in theirs["origins"].items() if origin != ours["origins"][name]]
    if moved:
        where = "; ".join(f"{name} from {theirs['origins'][name]}" for name in moved)
        return "fail", f"a worker has {where}"  # something shadows our packages
    return "ok", "a worker has the same Python, Ray and packages"
