"""Packs whose adapters sit on the projector: each trial's image tokens go through its own, whatever they are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from datasets_spec.errors import RecombineError
from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row
from tests.trainers.training.test_packing import BASE, rows_table
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone, assemble_backbone
from trainers.rows.feeds import DirectFeed
from trainers.training.dropout import MicroBatch
from trainers.training.loop import finetune
from trainers.training.packed_loop import Member, Pack

RECIPE = BASE.model_copy(update={"lora_modules": "language+projector", "num_steps": 3})
# Three fine-tunes of two ranks: small and single images, large ones, and several.
RECIPES = [RECIPE, RECIPE.model_copy(update={"lora_alpha": 3.0}), RECIPE.model_copy(update={"lora_rank": 8})]
ROWS = [
    [toy_row(i, height_px=28) for i in range(5)],
    [toy_row(i, height_px=56) for i in range(5, 10)],
    [toy_row(i, num_images=1 + i % 3) for i in range(10, 15)],
]


def feed(backbone: Backbone, number: int) -> DirectFeed:
    return DirectFeed(backbone.encoder, rows_table(range(5), ROWS[number]))


def packed(backbone: Backbone, recipes: list[Any]) -> tuple[list[float], list[torch.Tensor]]:
    """The last step's losses (before the first all adapters add nothing), and all weights at the end."""
    members = [Member(recipe=recipe, feed=feed(backbone, i), seed=i) for i, recipe in enumerate(recipes)]
    pack = Pack(backbone, members)
    pack.advance(RECIPE.num_steps)
    losses = [member.loss for member in members]
    weights = [pack.weights(member) for member in members]
    return losses, [torch.cat([m.flatten() for n in w.down for m in (w.down[n], w.up[n])]) for w in weights]


def alone(backbone: Backbone, number: int, recipe: Any) -> tuple[float, torch.Tensor]:
    losses: list[float] = []
    model = add_adapter(backbone, recipe, seed=number)
    finetune(model, feed(backbone, number), recipe, seed=number, on_step=lambda step, loss: losses.append(loss))
    weights = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
    model.unload()
    return losses[-1], weights


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("micro_batch_size", [None, 1])
def test_images_of_unequal_size_and_number_stay_with_their_trial(family: str, micro_batch_size: int | None) -> None:
    backbone = tiny_backbone(family)
    recipes = [r.model_copy(update={"micro_batch_size": micro_batch_size}) for r in RECIPES]
    losses, weights = packed(backbone, recipes)
    for number, recipe in enumerate(recipes):
        loss, expected = alone(backbone, number, recipe)
        assert losses[number] == pytest.approx(loss, rel=1e-3)
        assert float((weights[number] - expected).norm() / expected.norm()) <= 1e-4  # as for unequal lengths


def test_they_do_where_equal_shares_would_also_come_out_even() -> None:
    """4 and 16 image tokens: cut in halves, the second's would go through the first's projector without an error."""
    backbone = tiny_backbone("qwen2_vl")
    losses, weights = packed(backbone, RECIPES[:2])
    for number in (0, 1):
        loss, expected = alone(backbone, number, RECIPES[number])
        assert losses[number] == pytest.approx(loss, rel=1e-3)
        assert float((weights[number] - expected).norm() / expected.norm()) <= 1e-4


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_so_they_do_in_sixteen_bits(family: str) -> None:
    spec = SPEC.model_copy(update={"dtype": "bfloat16"})
    plain = tiny_backbone(family)
    backbone = assemble_backbone(plain.model.to(torch.bfloat16), plain.processor, spec)
    losses, _ = packed(backbone, RECIPES)
    for number, recipe in enumerate(RECIPES):
        loss = alone(backbone, number, recipe)[0]
        assert losses[number] == pytest.approx(loss, rel=0.01)  # 0.001 was seen


def test_each_adapter_draws_its_own_dropout_for_its_own_rows() -> None:
    """With another's rows, the one without dropout would not be what it is alone."""
    backbone = tiny_backbone("qwen2_vl")
    recipes = [RECIPES[0].model_copy(update={"lora_dropout": 0.5}), RECIPES[1], RECIPES[2]]
    losses, _ = packed(backbone, recipes)
    for number in (1, 2):
        assert losses[number] == pytest.approx(alone(backbone, number, recipes[number])[0], rel=1e-3)
    assert math.isfinite(losses[0])


def test_a_projector_whose_rows_have_no_owner_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llava")
    one_token = MicroBatch(step=0, samples=[0], num_tokens=1, image_tokens=[1])
    monkeypatch.setattr(Pack, "_micro_batches", lambda pack, inputs, places: [one_token] * len(pack.members))
    with pytest.raises(RecombineError, match="one fine-tune at a time"):
        packed(backbone, RECIPES)
