"""One question to every node of a cluster, each answered by a task that is pinned to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.errors import ClusterError

# A worker's start takes 2 s, and on a machine that is at work many times that.
ANSWER_TIMEOUT_S = 120.0
_Answer = TypeVar("_Answer")


def ask_every_node(question: Callable[[], _Answer], *, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, _Answer]:
    """Run `question` once on every living node, all at a time; Ray must be connected.

    Args:
        question: Defined inside a function, so that it travels by value where a node may lack our packages.
        timeout_s: For all of them.

    Returns:
        The answers by node: its address, and the beginning of its id where nodes share an address. A node that has
        died since it was asked is left out.

    Raises:
        ClusterError: A living node does not answer, or its answer is an error.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked: dict[str, Any] = {}
    nodes = name_nodes(ray.nodes())
    for name, node_id in nodes.items():
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        asked[name] = ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=1)(question).remote()
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    answers: dict[str, _Answer] = {}
    for name, reference in asked.items():
        try:
            answers[name] = _answer(name, reference, timeout_s)
        except ClusterError:
            if any(node["NodeID"] == nodes[name] and node["Alive"] for node in ray.nodes()):
                raise
    return answers


def name_nodes(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Ids of the living nodes, by a name that tells them apart.

    Args:
        nodes: What `ray.nodes()` returns.
    """
    living = [node for node in nodes if node["Alive"]]
    addresses = [node["NodeManagerAddress"] for node in living]
    return {
        address if addresses.count(address) == 1 else f"{address} ({node['NodeID'][:8]})": node["NodeID"]
        for address, node in zip(addresses, living, strict=True)
    }


def _answer(name: str, reference: Any, timeout_s: float) -> Any:
    import ray

    try:
        return ray.get(reference, timeout=0.1)
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterError(
            f"The node {name} has not answered for {timeout_s:.0f} s.",
            hint="`ray status` shows whether it is alive; `ray list workers` whether it can start processes.",
        ) from error
    except ray.exceptions.RayError as error:
        first_line = next(iter(str(error).strip().splitlines()), "")
        raise ClusterError(f"The node {name} cannot answer ({type(error).__name__}: {first_line[:200]}).") from error
