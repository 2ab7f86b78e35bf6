"""The memory estimate: what is counted is right, what is estimated moves the right way."""

from __future__ import annotations

import pytest

from tests.makers.families import FAMILIES, tiny_backbone
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import load_backbone
from trainers.backbone.memory import ADAPTER_BYTES, GIB, estimate_memory, num_adapter_values
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

SPEC = BackboneSpec().resolved(gpus_per_worker=0)
RECIPE = Recipe(batch_size=8, micro_batch_size=2)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("modules", ["attention", "language", "language+projector"])
def test_an_adapters_values_are_counted_as_peft_makes_them(family: str, modules: str) -> None:
    backbone = tiny_backbone(family)
    recipe = Recipe.model_validate({"lora_modules": modules, "lora_rank": 3})
    expected = num_adapter_values(backbone.model, recipe)
    model = add_adapter(backbone, recipe, seed=0)
    assert expected == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_weights_are_those_of_the_model() -> None:
    estimate = estimate_memory(SPEC, RECIPE, num_packed=1, num_images=1)
    loaded = load_backbone(SPEC).model
    assert estimate.weights_gib * GIB == sum(p.numel() for p in loaded.parameters()) * 4
    assert estimate.adapters_gib * GIB == ADAPTER_BYTES * num_adapter_values(loaded, RECIPE)


def test_more_of_anything_takes_more() -> None:
    one = estimate_memory(SPEC, RECIPE, num_packed=1, num_images=1)
    packed = estimate_memory(SPEC, RECIPE, num_packed=4, num_images=1)
    assert packed.activations_gib == pytest.approx(4 * one.activations_gib)
    assert packed.adapters_gib == pytest.approx(4 * one.adapters_gib)
    assert packed.weights_gib == one.weights_gib
    assert estimate_memory(SPEC, RECIPE, num_packed=1, num_images=3).total_gib > one.total_gib
    frugal = SPEC.model_copy(update={"activation_checkpointing": True})
    assert estimate_memory(frugal, RECIPE, num_packed=1, num_images=1).activations_gib < one.activations_gib
    half = SPEC.model_copy(update={"dtype": "bfloat16"})
    assert estimate_memory(half, RECIPE, num_packed=1, num_images=1).weights_gib == one.weights_gib / 2
