"""A study on GPUs: as many samples at a time as its cards hold, chosen before slots start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from search.engine.study_run import OpenStudy
from search.study.spec import StudySpec
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from trainers.training.fit_memory import MemoryChoice
    from trainers.training.memory_estimate import MemoryEstimate

ASK_TIMEOUT_S = 60.0  # to start one process a node; where every card is taken nothing is chosen


def fit_to_cards(opened: OpenStudy) -> OpenStudy:
    """Choose micro-batch and activation checkpointing where the study leaves them open; unchanged without a GPU.

    Raises:
        UserError: the backbone's processor cannot be loaded.
    """
    spec = opened.spec
    if opened.backbone.device != "cuda" or not leaves_memory_open(spec):
        return opened
    room_gib = smallest_card_gib(opened.resources.gpus_per_worker)
    return opened if room_gib is None else fitted(opened, room_gib)


def leaves_memory_open(spec: StudySpec) -> bool:
    """Whether anything is to be chosen."""
    return spec.recipe.micro_batch_size is None or spec.backbone.activation_checkpointing == "auto"


def fitted(opened: OpenStudy, room_gib: float) -> OpenStudy:
    """Return the study with what fits into so much memory; the ladder of `memory_ladder` catches what does not.

    Args:
        opened: of the study.
        room_gib: that one worker has on its card.
    """
    from trainers.backbone.backbone import load_encoder
    from trainers.rows.sampled_sizes import sample_sizes

    spec = opened.spec
    sizes = sample_sizes(load_encoder(opened.backbone), opened.store, opened.needed_rows)
    if sizes is None:
        return opened
    packed = spec.execution.pack if spec.execution.pack != "auto" else 1
    options = memory_options(spec, opened.backbone, num_packed=packed, num_tokens=sizes.most_tokens)
    choice = chosen_way(spec, options, room_gib)
    opened.decide(f"GPU memory: {choice} ({room_gib:.0f} GiB a worker, samples of at most {sizes.most_tokens} tokens)")
    backbone = opened.backbone.model_copy(update={"activation_checkpointing": choice.is_checkpointed})
    return replace(
        opened,
        backbone=backbone,
        factory=opened.factory.within(backbone, micro_batch_size=choice.micro_batch_size),
    )


def memory_options(
    spec: StudySpec, backbone: BackboneSpec, *, num_packed: int, num_tokens: int
) -> Sequence[tuple[bool, MemoryEstimate]]:
    """Whether activations are computed again, with the estimate of each; preferred first.

    Args:
        spec: the study.
        backbone: resolved.
        num_packed: fine-tunes side by side.
        num_tokens: of the longest sample.

    Raises:
        OSError: the backbone's configuration cannot be read here.
    """
    from trainers.training.memory_estimate import estimate_memory

    return [
        (
            is_checkpointed,
            estimate_memory(
                backbone.model_copy(update={"activation_checkpointing": is_checkpointed}),
                spec.widest_recipe,
                num_packed=num_packed,
                num_tokens=num_tokens,
            ),
        )
        for is_checkpointed in (False, True)
    ]


def chosen_way(spec: StudySpec, options: Sequence[tuple[bool, MemoryEstimate]], room_gib: float) -> MemoryChoice:
    """What fits into so much memory of a worker.

    Args:
        spec: the study.
        options: as `memory_options` has them.
        room_gib: memory of the worker's card.
    """
    from trainers.training.fit_memory import fit_memory

    recipe, asked = spec.widest_recipe, spec.backbone.activation_checkpointing
    return fit_memory(
        [option for option in options if asked in ("auto", option[0])],
        estimated_for=min(recipe.micro_batch_size or recipe.batch_size, recipe.batch_size),
        batch_size=max(spec.batch_sizes) // max(1, spec.execution.num_workers),
        asked=recipe.micro_batch_size,
        room_gib=room_gib,
    )


def smallest_card_gib(gpus_per_worker: float) -> float | None:
    """Return the GiB that a worker has on the smallest card of the cluster's nodes; None where none answers."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0)]
    asked = [
        ray.remote(
            num_cpus=0, num_gpus=gpus_per_worker, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        )(_card_gib).remote()
        for node in nodes
    ]
    done, late = ray.wait(asked, num_returns=len(asked), timeout=ASK_TIMEOUT_S) if asked else ([], [])
    for task in late:
        ray.cancel(task)
    return min(ray.get(done)) * min(1.0, gpus_per_worker) if done else None


def _card_gib() -> float:
    """Run on a node with a card of its own: the card's memory."""
    import torch

    return float(torch.cuda.mem_get_info()[1]) / 2**30
