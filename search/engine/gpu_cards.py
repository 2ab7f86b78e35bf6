"""How much memory slots have on the cluster's cards, as nvidia-smi tells it: no card has to be free to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.executors.resources import TrialResources

ASK_TIMEOUT_S = 60.0  # to start one process a node


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuNode:
    """A node with GPUs that has answered.

    Attributes:
        kinds: Ray's names of what it has, `accelerator_type:L4` among them.
        card_gib: memory of its smallest card.
    """

    kinds: frozenset[str]
    card_gib: float


def least_room_gib(slots: Sequence[TrialResources]) -> float | None:
    """Return the GiB of a card that the slot with the least has; None where nothing is known for one of them.

    Args:
        slots: what each occupies, a part of a card at least.
    """
    return judge_rooms(slots, _ask_nodes())


def judge_rooms(slots: Sequence[TrialResources], nodes: Sequence[GpuNode]) -> float | None:
    """As `least_room_gib`, for given nodes."""
    rooms = []
    for slot in dict.fromkeys(slots):
        cards = [node.card_gib for node in nodes if slot.accelerator is None or _kind(slot.accelerator) in node.kinds]
        if not cards:
            return None
        rooms.append(min(cards) * min(1.0, slot.gpus_per_worker))
    return min(rooms)


def smallest_card_gib(told: str) -> float:
    """Return the memory of the smallest card.

    Args:
        told: by nvidia-smi, a line a card: MiB, and whether it is divided.

    Raises:
        ValueError: there is no card, one is divided into parts (MIG), or its memory is not known.
    """
    cards = [[part.strip() for part in line.split(",")] for line in told.splitlines() if line.strip()]
    if any(mode == "Enabled" for _, mode in cards):
        raise ValueError("a card is divided into parts")
    return min(float(mib) for mib, _ in cards) / 1024


def _kind(accelerator: str) -> str:
    return f"accelerator_type:{accelerator}"


def _ask_nodes() -> list[GpuNode]:
    """Ask every node with GPUs; those that cannot answer, or not in time, are left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("GPU", 0):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, num_gpus=0, max_retries=1, scheduling_strategy=there)(_ask_here)
            asked[task.remote()] = frozenset(node["Resources"])
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=ASK_TIMEOUT_S) if asked else ([], [])
    for reference in late:
        ray.cancel(reference)
    found = []
    for reference in done:
        try:
            found.append(GpuNode(kinds=asked[reference], card_gib=ray.get(reference)))
        except ray.exceptions.RayError:  # no nvidia-smi, no driver, or the node has gone
            continue
    return found


def _ask_here() -> float:
    import subprocess

    asked = ["nvidia-smi", "--query-gpu=memory.total,mig.mode.current", "--format=csv,noheader,nounits"]
    return smallest_card_gib(subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout)
