"""A study on GPUs: as many samples at a time as its cards hold, chosen before slots start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from datasets_spec.errors import UserError
from search.engine.study_run import OpenStudy
from search.study.spec import StudySpec
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from trainers.training.fit_memory import MemoryChoice
    from trainers.training.memory_estimate import MemoryEstimate


def fit_to_cards(opened: OpenStudy) -> OpenStudy:
    """Choose micro-batch and activation checkpointing where the study leaves them open; unchanged without a GPU.

    Raises:
        UserError: the backbone's processor cannot be loaded.
    """
    from search.engine.gpu_cards import least_room_gib
    from search.engine.setup import slots_of

    if opened.backbone.device != "cuda" or not leaves_memory_open(opened.spec):
        return opened
    slots = slots_of(opened)
    if min(slot.gpus_per_worker for slot in slots) <= 0:
        opened.decide("GPU memory: nothing is chosen, for execution.gpus_per_worker is 0")
        return opened
    room_gib = least_room_gib(slots)
    return frugal(opened, "no card could be asked") if room_gib is None else fitted(opened, room_gib)


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
    try:
        options = memory_options(spec, opened.backbone, num_packed=packed, num_tokens=sizes.most_tokens)
    except (OSError, ValueError, ImportError, UserError):
        return frugal(opened, f"the configuration of {spec.backbone.model} cannot be read here")
    choice = chosen_way(spec, options, room_gib)
    opened.decide(f"GPU memory: {choice} ({room_gib:.0f} GiB a worker, samples of at most {sizes.most_tokens} tokens)")
    backbone = opened.backbone.model_copy(update={"activation_checkpointing": choice.is_checkpointed})
    return replace(
        opened,
        backbone=backbone,
        factory=opened.factory.within(backbone, micro_batch_size=choice.micro_batch_size),
    )


def frugal(opened: OpenStudy, reason: str) -> OpenStudy:
    """Return the study in the way that takes the least memory: how much there is cannot be known.

    Slots that measure packs find out by themselves how many samples at a time fit.

    Args:
        opened: of the study.
        reason: why it is not known.
    """
    execution, asked = opened.spec.execution, opened.spec.recipe.micro_batch_size
    is_measured = execution.chosen_executor[0] == "pooled" and execution.pack == "auto" and execution.max_pack > 1
    is_checkpointed = opened.spec.backbone.activation_checkpointing is not False
    samples = "as the recipe says" if asked else "as many as a slot finds to fit" if is_measured else "1"
    activations = "computed again" if is_checkpointed else "kept, as the study says"
    opened.decide(f"GPU memory: not known ({reason}); samples at a time: {samples}; activations: {activations}")
    backbone = opened.backbone.model_copy(update={"activation_checkpointing": is_checkpointed})
    factory = opened.factory.within(backbone, micro_batch_size=None if is_measured else 1)
    return replace(opened, backbone=backbone, factory=factory)


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
