"""What a slot's GPU will hold, what would fit, and whether its worker can feed it, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from datasets_spec.errors import UserError
from datasets_spec.store.manifest import read_manifest
from datasets_spec.store.store import open_store
from search.engine.gpu_memory import chosen_way, leaves_memory_open, memory_options
from search.study.needed_rows import needed_rows
from search.study.spec import StudySpec
from search.study.study import Study
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from trainers.rows.sampled_sizes import SampledSizes
    from trainers.training.memory_estimate import MemoryEstimate

# Before there are rows: an image of the default limit of families that take any size (`backbone.image_limits`), and a
# question with options; published questions of Med-MAT and Med-MIM are shorter.
ASSUMED_IMAGE_TOKENS, ASSUMED_TEXT_TOKENS = 1280, 256
SHOWN_GIB = (24, 40, 80)  # of common cards


def gpu_lines(study: Study, step_s: float, sizes: SampledSizes | None) -> list[str]:
    """Return lines on a slot's GPU, from the backbone's configuration and a look at the prepared rows.

    Args:
        study: the study.
        step_s: of one step of a trial, as the plan has it.
        sizes: of its samples, as `look_at_rows` has them.
    """
    spec, execution = study.spec, study.spec.execution
    packed = execution.pack if execution.pack != "auto" else 1
    backbone = study.located(spec.backbone).resolved(gpus_per_worker=execution.gpus_per_worker)
    try:
        num_tokens = sizes.most_tokens if sizes else _assumed_tokens(backbone)
        options = memory_options(spec, backbone, num_packed=packed, num_tokens=num_tokens)
        (_, found), (_, frugal) = options
    except (OSError, ValueError, ImportError, UserError):
        return [f"GPU memory: not known, the configuration of {spec.backbone.model} cannot be read here"]
    micro_batch = min(spec.recipe.micro_batch_size or spec.recipe.batch_size, spec.recipe.batch_size)
    source = str(sizes) if sizes else f"{num_tokens} tokens a sample (assumed; no prepared row could be looked at)"
    lines = [
        memory_line(frugal if backbone.activation_checkpointing else found)
        + f", with {source}, {micro_batch} samples at a time, {packed} fine-tune(s)",
        fitting_line(found, frugal, micro_batch=micro_batch, batch_size=spec.recipe.batch_size),
    ]
    if leaves_memory_open(spec):
        lines.append(proposal_line(spec, options))
    if sizes is not None:
        lines.append(feeding_line(sizes.prepare_s, execution.num_threads, step_s, spec.recipe.batch_size))
    return lines


def backbone_bytes(study: Study) -> float:
    """Return the bytes of the backbone's weights in a slot; 0 where its configuration cannot be read here."""
    from trainers.backbone.backbone import model_without_weights
    from trainers.backbone.quantization import weight_bytes

    backbone = study.located(study.spec.backbone)
    try:
        model = model_without_weights(backbone.resolved(gpus_per_worker=study.spec.execution.gpus_per_worker))
    except (OSError, ValueError, ImportError):
        return 0.0
    return weight_bytes(model, backbone.quantization)


def memory_line(found: MemoryEstimate) -> str:
    """The estimate and its parts."""
    parts = (
        f"backbone {found.weights_gib:.1f}, adapters {found.adapters_gib:.2f}, "
        f"activations {found.activations_gib:.1f}, gradients {found.gradients_gib:.1f}"
    )
    return f"GPU memory of a worker: about {found.total_gib:.0f} GiB ({parts})"


def fitting_line(found: MemoryEstimate, frugal: MemoryEstimate, *, micro_batch: int, batch_size: int) -> str:
    """Say which micro-batches fit into common cards, with activations kept and computed again.

    Args:
        found: of a micro-batch, with activations kept.
        frugal: of the same, with activations computed again.
        micro_batch: samples that both were made for.
        batch_size: samples of a step; more are never needed.
    """
    from trainers.training.fit_memory import largest_micro_batch

    parts = []
    for room_gib in SHOWN_GIB:
        kept, again = (
            min(batch_size, largest_micro_batch(estimate, micro_batch, room_gib)) for estimate in (found, frugal)
        )
        parts.append(f"{room_gib} GiB: {kept or 'none'} ({again or 'none'})")
    return "largest micro-batch that fits (with backbone.activation_checkpointing): " + ", ".join(parts)


def proposal_line(spec: StudySpec, options: Sequence[tuple[bool, MemoryEstimate]]) -> str:
    """Say what a study does on common cards where its file leaves it open."""
    parts = [f"{room_gib} GiB: {chosen_way(spec, options, room_gib)}" for room_gib in SHOWN_GIB]
    return "chosen by card, unless the study says otherwise: " + "; ".join(parts)


def feeding_line(prepare_s: float, num_threads: int, step_s: float, batch_size: int) -> str:
    """Say from which batch size on preparing samples is slower than training on them.

    Args:
        prepare_s: seconds of one core to decode and process a sample.
        num_threads: of a worker.
        step_s: of a step of `batch_size` samples.
        batch_size: of the study.
    """
    rate = num_threads / prepare_s if prepare_s else float("inf")
    fed = int(min(rate * step_s, 10**6))
    verdict = "fast enough" if fed >= batch_size else "too slow: raise execution.num_threads, or keep vision features"
    return (
        f"samples: {1000 * prepare_s:.0f} ms of a core each; {num_threads} thread(s) have {fed} ready in a step of "
        f"{step_s:.2f} s, which takes {batch_size}: {verdict}"
    )


def _assumed_tokens(backbone: BackboneSpec) -> int:
    from trainers.backbone.backbone import configuration_of

    own = getattr(configuration_of(backbone), "image_seq_length", None)
    return int(own or ASSUMED_IMAGE_TOKENS) + ASSUMED_TEXT_TOKENS


def look_at_rows(study: Study, arms: Sequence[Mapping[str, int]] = ()) -> SampledSizes | None:
    """Return the sizes of prepared rows; None before there are any, or where the processor cannot be loaded here.

    Args:
        study: the study.
        arms: the compositions of its design, where it has one.
    """
    from trainers.backbone.backbone import load_encoder
    from trainers.rows.sampled_sizes import sample_sizes

    if read_manifest(study.store_dir) is None:
        return None
    try:
        encoder = load_encoder(study.located(study.spec.backbone).resolved(gpus_per_worker=0))
    except UserError:
        return None
    with open_store(study.store_dir) as store:
        return sample_sizes(encoder, store, needed_rows(study.spec, store.count, arms))
