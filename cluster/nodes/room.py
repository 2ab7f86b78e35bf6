"""Whether a cluster has, or may get, a node that can hold what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cluster.errors import ClusterError


def require_room(wanted: Mapping[str, float], num_wanted: int) -> str | None:
    """Refuse what no node can hold; Ray would wait for it for ever.

    Args:
        wanted: What one holds, in Ray's words (`CPU`, `GPU`).
        num_wanted: How many there will be.

    Returns:
        A sentence where fewer have room on the nodes there are, None where all have.

    Raises:
        ClusterError: Neither a node nor a kind of node that the autoscaler may start can hold one.
    """
    import ray
    from ray._private.state import state

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    to_come = [dict(group.resources) for group in groups if group.max_count != 0]
    return judge_room(wanted, num_wanted, nodes, to_come)


def judge_room(
    wanted: Mapping[str, float],
    num_wanted: int,
    nodes: Sequence[Mapping[str, float]],
    to_come: Iterable[Mapping[str, float]],
) -> str | None:
    """As `require_room`, for given nodes and kinds of nodes that may come."""
    counts = [_num_held(node, wanted) for node in nodes]
    may_come = any(_num_held(kind, wanted) for kind in to_come)
    words = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
    if not any(counts) and not may_come:
        largest = " and ".join(f"{max((n.get(name, 0.0) for n in nodes), default=0.0):g} {name}" for name in wanted)
        raise ClusterError(
            f"No node can hold a slot: it needs {words}, and nodes have at most {largest}.",
            hint="Lower execution.cpus_per_worker or execution.gpus_per_worker, or start a larger node.",
        )
    if sum(counts) >= num_wanted:
        return None
    source = "the autoscaler is asked for more" if may_come else "the others wait for nodes"
    return f"slots: {sum(counts)} of {num_wanted} have room on the cluster as it is ({words} each); {source}"


def _num_held(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many fit into what a node has when it does nothing else."""
    shares = [node.get(name, 0.0) / amount for name, amount in wanted.items() if amount > 0]
    return int(min(shares)) if shares else 0
