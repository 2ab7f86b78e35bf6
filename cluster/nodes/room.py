"""Whether a cluster has, or may get, a node that can hold what is asked for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from cluster.errors import ClusterError

# A head's monitor says what it knows some seconds after it has started, and then every five.
STATUS_WAIT_S = 30.0
TOLD_EVERY_S = 30.0  # between two words to a user who waits for nodes
LONG_WAIT_S = 120.0  # after which it is said why some may have none: as of a slot (trainers/executors/pool.py)
LATER_S = 60.0  # for which nodes that were asked for together wait for one another; our choice
# Ray's monitor, started without a configuration, calls each node a kind of its own (`format_readonly_node_type`, 2.60).
_KIND_OF_ITS_OWN = re.compile(r"node_[0-9a-f]{56}")


def require_room(wanted: Mapping[str, float], num_wanted: int) -> str | None:
    """Refuse what no node can hold and none will come for; Ray would wait for it for ever.

    Args:
        wanted: What one holds, in Ray's words (`CPU`, `GPU`).
        num_wanted: How many there will be.

    Returns:
        A sentence where fewer have room on the nodes there are, None where all have.

    Raises:
        ClusterError: No node can hold one, and certainly nothing starts one that could.
    """
    import ray
    from ray._private.state import state

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    config = state.get_cluster_config()
    if config is not None:  # neither KubeRay nor `ray up` report it
        groups = [dict(group.resources) for group in config.node_group_configs if group.max_count != 0]
        return judge_room(wanted, num_wanted, nodes, groups)
    is_asked = has_workers(nodes) and not any(_num_held(node, wanted) for node in nodes)
    return judge_room(wanted, num_wanted, nodes, () if is_asked and _starts_no_nodes() else None)


def judge_room(
    wanted: Mapping[str, float],
    num_wanted: int,
    nodes: Sequence[Mapping[str, float]],
    to_come: Iterable[Mapping[str, float]] | None,
) -> str | None:
    """As `require_room`, for given nodes and kinds of nodes that may come; None where these are not known."""
    counts = [_num_held(node, wanted) for node in nodes]
    may_come = to_come is None or any(_num_held(kind, wanted) for kind in to_come)
    words = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
    if not any(counts) and not may_come:
        largest = " and ".join(f"{max((n.get(name, 0.0) for n in nodes), default=0.0):g} {name}" for name in wanted)
        raise ClusterError(
            f"No node can hold a slot: it needs {words}, and nodes have at most {largest}.",
            hint="Lower execution.cpus_per_worker or execution.gpus_per_worker, or start a larger node.",
        )
    if sum(counts) >= num_wanted:
        return None
    source = "the autoscaler is asked for more" if may_come and to_come is not None else "the others wait for nodes"
    return f"slots: {sum(counts)} of {num_wanted} have room on the cluster as it is ({words} each); {source}"


def has_workers(nodes: Sequence[Mapping[str, float]]) -> bool:
    """Whether a node may work at all; the head alone, without processors, waits for those that will."""
    return any(node.get("CPU", 0.0) > 0 for node in nodes)


def tells_of_no_autoscaler(status: bytes | str) -> bool:
    """Whether what Ray's monitor wrote says that nothing starts nodes here.

    Autoscalers of KubeRay and of `ray up` name kinds of nodes as their configuration does.
    """
    kinds = (json.loads(status).get("autoscaler_report") or {}).get("active_nodes") or {}
    return bool(kinds) and all(_KIND_OF_ITS_OWN.fullmatch(kind) for kind in kinds)


def may_start_nodes() -> bool:
    """Whether nodes may come and go by need: anything but a cluster where certainly no autoscaler runs."""
    from ray._private.state import state
    from ray.autoscaler.v2.utils import is_autoscaler_v2

    return state.get_cluster_config() is not None or is_autoscaler_v2() or not _starts_no_nodes()


def await_nodes(
    wanted: Sequence[Mapping[str, float]],
    *,
    is_enough: Callable[[], bool],
    say: Callable[[str], None],
    why_none: Callable[[], str],
    later_s: float = LATER_S,
) -> None:
    """Ask for a place for each slot, so that nodes come, and give all back; the nodes stay for minutes without work.

    Args:
        wanted: What each slot holds, in Ray's words.
        is_enough: Whether the nodes that are there are enough. Where they never are it ends when all slots had a place,
            or some have had one for so long as `later_s`.
        say: Tells the user one line.
        why_none: Returns why slots may have no place, which is told after a long time.
        later_s: For which nodes wait for one another.
    """
    import ray

    groups = [ray.util.placement_group([dict(bundle)]) for bundle in wanted]
    began = told_at = time.monotonic()
    first_at = float("inf")
    try:
        while not is_enough():
            placed = [ray.util.placement_group_table(group)["state"] == "CREATED" for group in groups]
            now = time.monotonic()
            first_at = min(first_at, now) if any(placed) else float("inf")
            if all(placed) or now - first_at > later_s:
                return
            if now - told_at > TOLD_EVERY_S:
                told_at = now
                say(f"waiting for nodes: {sum(placed)} of {len(placed)} slots have a place (`ray status`)")
                if now - began > LONG_WAIT_S:
                    say(why_none())
            time.sleep(0.5)
    finally:
        for group in groups:
            ray.util.remove_placement_group(group)


def _starts_no_nodes() -> bool:
    """Whether certainly no autoscaler runs; the second version of Ray's says nothing of itself here."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    until = time.monotonic() + STATUS_WAIT_S
    while (status := _internal_kv_get(DEBUG_AUTOSCALING_STATUS)) is None or b"active_nodes" not in status:
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return tells_of_no_autoscaler(status)


def _num_held(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many fit into what a node has when it does nothing else."""
    shares = [node.get(name, 0.0) / amount for name, amount in wanted.items() if amount > 0]
    return int(min(shares)) if shares else 0
