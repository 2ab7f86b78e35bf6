"""The memory estimate against tensors that are counted while real fine-tunes run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone, assemble_backbone, load_backbone
from trainers.backbone_spec import BackboneSpec
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_samples import encode_samples
from trainers.rows.feeds import EncodedFeed
from trainers.training.memory_estimate import (
    ADAPTER_BYTES,
    GIB,
    KeptBytes,
    estimate_memory,
    kept_bytes,
    num_adapter_values,
)
from trainers.training.packed_loop import Member, Pack

PHANTOM = BackboneSpec().resolved(gpus_per_worker=0)
RECIPE = Recipe(batch_size=8, micro_batch_size=2)
NUM_SAMPLES = 4


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("modules", ["attention", "language", "language+projector"])
def test_an_adapters_values_are_counted_as_peft_makes_them(family: str, modules: str) -> None:
    backbone = tiny_backbone(family)
    recipe = Recipe.model_validate({"lora_modules": modules, "lora_rank": 3})
    expected = num_adapter_values(backbone.model, recipe)
    model = add_adapter(backbone, recipe, seed=0)
    assert expected == sum(p.numel() for p in model.parameters() if p.requires_grad)


def in_type(family: str, dtype: str) -> Backbone:
    plain = tiny_backbone(family)
    spec = SPEC.model_copy(update={"dtype": dtype})
    return assemble_backbone(plain.model.to(getattr(torch, dtype)), plain.processor, spec)


def counted(backbone: Backbone, recipe: Recipe) -> tuple[int, int]:
    """Bytes that one step of a real fine-tune keeps, and the tokens of its padded samples."""
    samples = encode_samples(backbone, [example_from_row(toy_row(i)) for i in range(NUM_SAMPLES)], with_features=True)
    pack = Pack(backbone, [Member(recipe=recipe, feed=EncodedFeed(backbone, samples), seed=0)])
    group = pack._adapters.groups[0]
    with KeptBytes([*backbone.model.parameters(), *group.parameters()]) as kept:
        pack.advance(1)
    return kept.total, max(sample.num_tokens for sample in samples)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("modules", ["attention", "language"])
def test_what_a_step_keeps_is_what_was_estimated(family: str, dtype: str, modules: str) -> None:
    backbone = in_type(family, dtype)
    recipe = Recipe.model_validate({"lora_modules": modules, "lora_rank": 4, "batch_size": NUM_SAMPLES, "num_steps": 1})
    real, num_tokens = counted(backbone, recipe)
    with torch.device("meta"):
        model = type(backbone.model)._from_config(backbone.model.config, dtype=backbone.dtype).requires_grad_(False)
    estimated = NUM_SAMPLES * kept_bytes(model, recipe, num_tokens=num_tokens)
    # Of the first layer's input, which has no gradient, nothing is kept.
    assert 1.0 <= estimated / real <= 1.2


def test_adapters_multiply_in_the_backbones_type() -> None:
    """An input raised to 32 bits for each of four layers would be kept four times, twice as large."""
    backbone = in_type("llava", "bfloat16")
    recipe = Recipe(lora_rank=4, batch_size=NUM_SAMPLES, num_steps=1)
    seen: list[Any] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor)
        return tensor

    samples = encode_samples(backbone, [example_from_row(toy_row(i)) for i in range(NUM_SAMPLES)], with_features=True)
    pack = Pack(backbone, [Member(recipe=recipe, feed=EncodedFeed(backbone, samples), seed=0)])
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pack.advance(1)
    hidden = backbone.model.config.get_text_config().hidden_size
    inputs = {t.untyped_storage()._cdata: t.dtype for t in seen if t.dim() == 3 and t.shape[-1] == hidden}
    num_layers = backbone.model.config.get_text_config().num_hidden_layers
    raised = [dtype for dtype in inputs.values() if dtype == torch.float32]
    assert len(raised) <= 2 * num_layers + 1  # what the norms of the model itself keep
    assert all(p.dtype == torch.float32 for p in pack._adapters.groups[0].parameters())


def test_the_parts_are_those_of_the_model_and_move_the_right_way() -> None:
    one = estimate_memory(PHANTOM, RECIPE, num_packed=1, num_tokens=64)
    loaded = load_backbone(PHANTOM).model
    assert one.weights_gib * GIB == sum(p.numel() for p in loaded.parameters()) * 4
    assert one.adapters_gib * GIB == ADAPTER_BYTES * num_adapter_values(loaded, RECIPE)
    packed = estimate_memory(PHANTOM, RECIPE, num_packed=4, num_tokens=64)
    assert packed.activations_gib == pytest.approx(4 * one.activations_gib)
    assert packed.adapters_gib == pytest.approx(4 * one.adapters_gib)
    assert packed.weights_gib == one.weights_gib
    assert estimate_memory(PHANTOM, RECIPE, num_packed=1, num_tokens=128).total_gib > one.total_gib
    frugal = PHANTOM.model_copy(update={"activation_checkpointing": True})
    assert estimate_memory(frugal, RECIPE, num_packed=1, num_tokens=64).activations_gib < one.activations_gib
    half = PHANTOM.model_copy(update={"dtype": "bfloat16"})
    assert estimate_memory(half, RECIPE, num_packed=1, num_tokens=64).weights_gib == one.weights_gib / 2
    eager = PHANTOM.model_copy(update={"attention": "eager"})
    assert estimate_memory(eager, RECIPE, num_packed=1, num_tokens=64).activations_gib > one.activations_gib
