"""How much GPU memory a fine-tune will take: counted where it can be counted, estimated where not; and freeing it."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

if TYPE_CHECKING:
    import torch

GIB = 2**30
# Activations of one layer in 16 bits: 34 bytes a token and hidden unit, without the attention matrix, which fused
# attention never stores (Korthikanti et al. 2022, section 4.1). Frozen weights need fewer: an upper bound.
LAYER_BYTES = 34
KEPT_BYTES = 2  # a layer's input alone, where activations are computed again
ADAPTER_BYTES = 16  # weight, gradient and two moments in float32
TEXT_TOKENS = 256  # question, options and answer; published questions of Med-MAT and Med-MIM are shorter
OVERHEAD_GIB = 1.0  # context of the device, kernels' workspaces, fragments
# torch's CPU allocator, CUDA itself, and cuBLAS when it cannot get its workspace.
_NO_MEMORY = ("not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
DEFAULT_IMAGE_TOKENS = 1024  # where a configuration does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryEstimate:
    """GiB of one slot's GPU.

    Attributes:
        weights_gib: frozen backbone; counted.
        adapters_gib: adapters with gradients and moments; counted.
        activations_gib: estimated, for the micro-batch of every member of a pack.
        assumptions: what the estimate rests on.
    """

    weights_gib: float
    adapters_gib: float
    activations_gib: float
    assumptions: tuple[str, ...]

    @property
    def total_gib(self) -> float:
        """All, with what a device takes for itself."""
        return self.weights_gib + self.adapters_gib + self.activations_gib + OVERHEAD_GIB


def estimate_memory(spec: BackboneSpec, recipe: Recipe, *, num_packed: int, num_images: int) -> MemoryEstimate:
    """Estimate a fine-tune's memory from the backbone's configuration; no weights are loaded.

    Args:
        spec: the backbone, resolved.
        recipe: rank, modules and micro-batch.
        num_packed: fine-tunes side by side.
        num_images: images of a question.

    Raises:
        OSError: the configuration cannot be read here.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(
        spec.location(), revision=spec.revision, trust_remote_code=spec.trust_remote_code
    )
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    width = 4 if spec.dtype == "float32" else 2
    text = config.get_text_config()
    image_tokens = int(getattr(config, "image_seq_length", None) or DEFAULT_IMAGE_TOKENS)
    tokens = num_images * image_tokens + TEXT_TOKENS
    samples = num_packed * (recipe.micro_batch_size or recipe.batch_size)
    unit = samples * tokens * int(text.hidden_size) * (width / 2)
    layers = int(text.num_hidden_layers)
    kept = KEPT_BYTES * layers + LAYER_BYTES if spec.activation_checkpointing else LAYER_BYTES * layers
    return MemoryEstimate(
        weights_gib=sum(p.numel() for p in model.parameters()) * width / GIB,
        adapters_gib=num_packed * ADAPTER_BYTES * num_adapter_values(model, recipe) / GIB,
        activations_gib=unit * kept / GIB,
        assumptions=(
            f"{tokens} tokens a sample ({num_images} image(s) of {image_tokens}, {TEXT_TOKENS} of text)",
            f"{samples} samples at a time ({num_packed} fine-tune(s))",
        ),
    )


def num_adapter_values(model: Any, recipe: Recipe) -> int:
    """Return the number of values of one adapter: rank x (in + out) of every adapted layer."""
    import re

    from torch import nn

    from trainers.backbone.adapters import adapter_pattern

    pattern = re.compile(adapter_pattern(model, recipe.lora_modules))
    return sum(
        recipe.lora_rank * (module.in_features + module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    )


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt held, once nothing refers to it: also what only circles of objects keep."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this process could not get memory; some allocators say so in words only."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
