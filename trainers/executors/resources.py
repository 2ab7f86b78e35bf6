"""What one trial occupies, in Ray's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What waits and works little occupies: next to nothing of any node; where idle nodes go, of the head, which stays.
NEXT_TO_NOTHING = {"CPU": 0.0, "memory": 1.0}
OF_THE_HEAD = {"CPU": 0.0, "node:__internal_head__": 0.001}  # Ray gives a head 1 of it


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResources:
    """What one trial occupies.

    `num_workers=0` is Ray Train's local mode: the train function runs in the process that calls `fit()`, here the
    Tune trial's own. Nothing has to start, and nothing survives a crash.
    """

    num_workers: int = 1
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    num_threads: int = 1
    max_failures: int = 1
    accelerator: str | None = None  # Ray's name of a kind of GPU


def worker_resources(resources: TrialResources) -> dict[str, float]:
    """Return one worker's resources in Ray's words."""
    bundle = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker > 0:
        bundle["GPU"] = resources.gpus_per_worker
    if resources.accelerator is not None:
        # Ray gives a node 1 of it; a thousandth marks the kind and leaves room for as many slots as it has GPUs.
        bundle[f"accelerator_type:{resources.accelerator}"] = 0.001
    return bundle


def task_options(resources: TrialResources) -> dict[str, Any]:
    """Return the options of a Ray task that occupies what one worker does."""
    others = worker_resources(resources)
    return {"num_cpus": others.pop("CPU"), "num_gpus": others.pop("GPU", 0.0), "resources": others}


def fits_fewer_nodes(one: TrialResources, other: TrialResources) -> bool:
    """Return whether every node that can hold `one` can hold `other` too, and not the other way round."""
    wanted, less = worker_resources(one), worker_resources(other)
    return wanted != less and all(wanted.get(name, 0.0) >= amount for name, amount in less.items())


def most_on_node(resources: TrialResources) -> int:
    """Return how many such workers the node that this runs on could hold if it did nothing else; 1 at least."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    totals: dict[str, float] = next((node["Resources"] for node in ray.nodes() if node["NodeID"] == here), {})
    return max(1, _num_held(totals, resources))


def proxy_bundle(resources: TrialResources, *, nodes_go: bool) -> dict[str, float]:
    """Return what the Tune trial itself occupies: next to nothing while its workers work, everything in local mode."""
    if resources.num_workers == 0:
        return worker_resources(resources)
    return OF_THE_HEAD if nodes_go else NEXT_TO_NOTHING


def free_room() -> dict[str, float]:
    """Return what of all nodes' processors and GPUs is free."""
    import ray

    there_are, free = ray.cluster_resources(), ray.available_resources()  # the second leaves out what is used up
    return {name: round(free.get(name, 0.0), 2) for name in ("CPU", "GPU") if name in there_are}


def why_none_placed(wanted: Sequence[TrialResources]) -> str:
    """Return why none may have a place after a long time: Ray says nothing of what it cannot place.

    Args:
        wanted: slots, or one trial.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    held, num_workers = max((sum(_num_held(node, each) for node in nodes), each.num_workers) for each in wanted)
    if held >= num_workers:
        return "nodes that hold one have other work, or its start takes long: `ray status` shows who uses them"
    lower = "execution.cpus_per_worker or execution.gpus_per_worker, or start a larger node"
    if held:
        return (
            f"the nodes there are hold {held} of a trial's {num_workers} workers: unless `ray status` shows one on its "
            f"way, lower execution.num_workers, {lower}"
        )
    names = dict.fromkeys(name for each in wanted for name in worker_resources(each))
    most = ", ".join(f"{max((node.get(name, 0.0) for node in nodes), default=0.0):g} {name}" for name in names)
    return f"no node there is can hold one (at most {most}): unless `ray status` shows one on its way, lower {lower}"


def _num_held(node: Mapping[str, float], resources: TrialResources) -> int:
    """How many such workers a node can hold when it does nothing else."""
    shares = [node.get(name, 0.0) / amount for name, amount in worker_resources(resources).items() if amount]
    return int(min(shares, default=1))
