"""What a slot's GPU will hold, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets_spec.errors import UserError
from datasets_spec.store.manifest import read_manifest
from datasets_spec.store.store import open_store
from search.study.needed_rows import needed_rows
from search.study.study import Study
from trainers.backbone_spec import BackboneSpec

# Before there are rows: an image of the default limit of families that take any size (`backbone.image_limits`), and a
# question with options; published questions of Med-MAT and Med-MIM are shorter.
ASSUMED_IMAGE_TOKENS, ASSUMED_TEXT_TOKENS = 1280, 256


def gpu_memory_line(study: Study, arms: Sequence[Mapping[str, int]] = ()) -> str:
    """Return what a slot's GPU will hold, from the backbone's configuration and a look at the prepared rows.

    Args:
        study: the study.
        arms: the compositions of its design, where it has one.
    """
    from trainers.training.memory_estimate import estimate_memory

    spec = study.spec
    execution = spec.execution
    packed = execution.pack if execution.pack != "auto" else 1
    backbone = study.located(spec.backbone).resolved(gpus_per_worker=execution.gpus_per_worker)
    try:
        num_tokens, source = _longest_sample(study, backbone, arms)
        found = estimate_memory(backbone, spec.recipe, num_packed=packed, num_tokens=num_tokens)
    except (OSError, ValueError, ImportError, UserError):
        return f"GPU memory: not known, the configuration of {spec.backbone.model} cannot be read here"
    parts = (
        f"backbone {found.weights_gib:.1f}, adapters {found.adapters_gib:.2f}, "
        f"activations {found.activations_gib:.1f}, gradients {found.gradients_gib:.1f}"
    )
    return (
        f"GPU memory of a worker: about {found.total_gib:.0f} GiB ({parts}), with {source}, "
        f"{spec.recipe.micro_batch_size or spec.recipe.batch_size} samples at a time, {packed} fine-tune(s)"
    )


def _longest_sample(study: Study, backbone: BackboneSpec, arms: Sequence[Mapping[str, int]]) -> tuple[int, str]:
    """Return the tokens of a long sample, and where the number comes from.

    Raises:
        UserError: the backbone's processor cannot be loaded.
    """
    from trainers.backbone.backbone import configuration_of, load_encoder
    from trainers.rows.sampled_sizes import sample_sizes

    if read_manifest(study.store_dir) is None:
        own = getattr(configuration_of(backbone), "image_seq_length", None)
        num_tokens = int(own or ASSUMED_IMAGE_TOKENS) + ASSUMED_TEXT_TOKENS
        return num_tokens, f"{num_tokens} tokens a sample (assumed before the data are prepared)"
    with open_store(study.store_dir) as store:
        sizes = sample_sizes(load_encoder(backbone), store, needed_rows(study.spec, store.count, arms))
    if sizes is None:
        raise UserError("the store holds no row of this study")
    return sizes.most_tokens, str(sizes)
