"""How much GPU memory a fine-tune will take: what a step keeps is counted on a model without weights or numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainers.backbone.adapters import adapter_pattern
from trainers.backbone.backbone import Backbone, model_without_weights
from trainers.backbone.quantization import weight_bytes
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.training.dropout import MicroBatch
from trainers.training.packed_adapters import PackedAdapters, fresh_weights

GIB = 2**30
ADAPTER_BYTES = 16  # weight, gradient and two moments in float32
LOGIT_BYTES = 12  # of a written token and entry of the vocabulary: float32 logits, their log-softmax and its gradient
ANSWER_TOKENS = 16  # that reach the vocabulary; answers by letter are two
OVERHEAD_GIB = 1.0  # context of the device, kernels' workspaces, fragments


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryEstimate:
    """GiB of one slot's GPU.

    Attributes:
        weights_gib: frozen backbone.
        adapters_gib: adapters with gradients and moments.
        activations_gib: what a forward pass keeps for the backward pass of the micro-batch of every member of a pack.
        gradients_gib: of the layer that the backward pass is in: at most one for each tensor that the layer kept.
    """

    weights_gib: float
    adapters_gib: float
    activations_gib: float
    gradients_gib: float

    @property
    def total_gib(self) -> float:
        """All, with what a device takes for itself."""
        return self.weights_gib + self.adapters_gib + self.activations_gib + self.gradients_gib + OVERHEAD_GIB


def estimate_memory(spec: BackboneSpec, recipe: Recipe, *, num_packed: int, num_tokens: int) -> MemoryEstimate:
    """Estimate a fine-tune's memory from the backbone's configuration; no weights are loaded.

    Args:
        spec: the backbone, resolved.
        recipe: rank, modules and micro-batch.
        num_packed: fine-tunes side by side.
        num_tokens: of a padded sample, image tokens and text.

    Raises:
        OSError: the configuration cannot be read here.
    """
    return estimate_for(
        model_without_weights(spec),
        recipe,
        num_packed=num_packed,
        num_tokens=num_tokens,
        is_checkpointed=spec.activation_checkpointing is True,
        quantization=spec.quantization,
    )


def estimate_for(
    model: Any,
    recipe: Recipe,
    *,
    num_packed: int,
    num_tokens: int,
    is_checkpointed: bool = False,
    quantization: str | None = None,
) -> MemoryEstimate:
    """Estimate a fine-tune's memory on a model of the meta device.

    Args:
        model: as `model_without_weights` has it.
        recipe: rank, modules and micro-batch.
        num_packed: fine-tunes side by side.
        num_tokens: of a padded sample.
        is_checkpointed: activations are computed again in the backward pass.
        quantization: of the frozen weights, as the backbone has it.
    """
    width = next(model.parameters()).element_size()
    text = model.config.get_text_config()
    layers = int(text.num_hidden_layers)
    kept = kept_bytes(model, recipe, num_tokens=num_tokens)
    of_layer = kept / layers
    if is_checkpointed:  # every layer's input, and one layer's all
        kept = round(layers * num_tokens * int(text.hidden_size) * width + of_layer)
    samples = num_packed * min(recipe.micro_batch_size or recipe.batch_size, recipe.batch_size)
    logits = samples * ANSWER_TOKENS * int(text.vocab_size) * LOGIT_BYTES
    return MemoryEstimate(
        weights_gib=weight_bytes(model, quantization) / GIB,
        adapters_gib=num_packed * ADAPTER_BYTES * num_adapter_values(model, recipe) / GIB,
        activations_gib=(samples * kept + logits) / GIB,
        gradients_gib=samples * of_layer / GIB,
    )


def kept_bytes(model: Any, recipe: Recipe, *, num_tokens: int) -> int:
    """Count what the language model keeps of one sample for the backward pass, adapters included.

    The model's own code runs, without numbers; attention is counted as fused kernels keep it (queries, keys, values and
    the output), unless the model is set to `eager`.

    Args:
        model: of `model_without_weights`.
        recipe: of the adapters.
        num_tokens: of the sample.
    """
    decoder = model.get_decoder()
    dtype = next(decoder.parameters()).dtype
    device = torch.device("meta")
    backbone = Backbone(model=model, processor=None, encoder=None, device=device, dtype=dtype)  # type: ignore[arg-type]
    dropouts = [recipe.lora_dropout]
    adapters = PackedAdapters(backbone, [fresh_weights(backbone, recipe, seed=0)], dropouts=dropouts, seeds=[0])
    hidden = int(model.config.get_text_config().hidden_size)
    embedded = torch.empty(1, num_tokens, hidden, device=device, dtype=dtype, requires_grad=True)
    micro_batch = MicroBatch(step=0, samples=[0], num_tokens=num_tokens, image_tokens=[0])
    weights = [*model.parameters(), *(p for group in adapters.groups for p in group.parameters())]
    counted = KeptBytes(weights)
    with _fused_attention(decoder), adapters.applied([micro_batch]), counted:
        mask = torch.ones(1, num_tokens, dtype=torch.long, device=device)
        decoder(inputs_embeds=embedded, attention_mask=mask, use_cache=False)
    return counted.total


class KeptBytes:
    """Counts the bytes that autograd keeps while it is entered, each storage once.

    Args:
        weights: parameters, which are there anyway.
    """

    def __init__(self, weights: list[Any]) -> None:
        self._weights = {weight.untyped_storage()._cdata for weight in weights}
        self._kept: dict[int, Any] = {}  # the storages are held, so that none takes another's place
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def __enter__(self) -> KeptBytes:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    @property
    def total(self) -> int:
        """All bytes so far."""
        return sum(storage.nbytes() for storage in self._kept.values())

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._kept[storage._cdata] = storage
        return tensor


def num_adapter_values(model: Any, recipe: Recipe) -> int:
    """Return the number of values of one adapter: rank x (in + out) of every adapted layer."""
    import re

    pattern = re.compile(adapter_pattern(model, recipe.lora_modules))
    return sum(
        recipe.lora_rank * (module.in_features + module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    )


class _FusedAttention(torch.autograd.Function):
    """What a fused kernel keeps, without what it computes."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output


def _fused(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, None]:
    # Padded batches have a mask, for which transformers (5.23) gives every query head keys and values of its own.
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    return _FusedAttention.apply(query, key, value).transpose(1, 2), None  # type: ignore[no-untyped-call]


@contextmanager
def _fused_attention(decoder: Any) -> Iterator[None]:
    """Let a decoder's attention keep what fused kernels keep; one that is set to `eager` stays so."""
    from transformers import AttentionInterface

    own = decoder.config._attn_implementation
    if own == "eager":
        yield
        return
    AttentionInterface.register("counted", _fused)
    decoder.config._attn_implementation = "counted"
    try:
        yield
    finally:
        decoder.config._attn_implementation = own
