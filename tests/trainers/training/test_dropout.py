"""Dropout hangs on where a number stands: not on micro-batches, workers, neighbours or how often it is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone, assemble_backbone
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_samples import encode_samples
from trainers.rows.feeds import EncodedFeed
from trainers.rows.lookahead import Lookahead
from trainers.training.dropout import MicroBatch, _mixed, dropped, place_dropout
from trainers.training.loop import WorkerShare, _backward
from trainers.training.packed_loop import Member, Pack

RECIPE = Recipe(learning_rate=1e-2, num_steps=2, batch_size=4, lora_rank=4, lora_dropout=0.3)
BITS = 2**32 - 1
# Unequal lengths, so that micro-batches are padded differently.
EXAMPLES = [example_from_row(toy_row(i, num_images=1 + i % 2, is_open=i == 2)) for i in range(4)]


def plain_mask(seed: int, step: int, layer: int, sample: int, token: int, width: int, rate: float) -> list[float]:
    """Of one row, number by number, by Python's own integers."""
    start = 0
    for part in (seed, step, layer):
        start = _mixed(start ^ part)
    row = _mixed(_mixed(sample ^ start) ^ token)
    words = [_mixed(row ^ _mixed(unit)) for unit in range(width)]
    signed = [word - 2**32 if word >= 2**31 else word for word in words]
    return [float(word >= round(rate * 2**32) - 2**31) for word in signed]


@given(st.integers(0, 2**31), st.integers(0, 9), st.integers(0, 99), st.integers(0, 9), st.floats(0.1, 0.9))
def test_masks_are_those_of_plain_integers(seed: int, step: int, layer: int, sample: int, rate: float) -> None:
    micro_batch = MicroBatch(step=step, samples=[sample, sample + 5], num_tokens=2, image_tokens=[1, 1])
    found = dropped(torch.ones(4, 3), micro_batch, rate=rate, seed=seed, layer=layer, is_of_images=False)
    rows = [(sample, 0), (sample, 1), (sample + 5, 0), (sample + 5, 1)]
    assert found.ne(0).float().tolist() == [plain_mask(seed, step, layer, *row, 3, rate) for row in rows]


def test_the_rate_is_the_share_that_is_dropped_and_the_rest_is_raised() -> None:
    micro_batch = MicroBatch(step=3, samples=range(50), num_tokens=40, image_tokens=[4] * 50)
    found = dropped(torch.ones(2000, 100), micro_batch, rate=0.25, seed=1, layer=2, is_of_images=False)
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.005)  # five standard errors
    assert sorted(set(found.flatten().tolist())) == [0.0, pytest.approx(4 / 3)]
    for dim in (0, 1):
        assert (found == 0).float().mean(dim=dim).std() < 0.05  # no row and no unit is dropped more than others


def gradients(backbone: Backbone, recipe: Recipe, share: WorkerShare) -> list[torch.Tensor]:
    feed = EncodedFeed(backbone, encode_samples(backbone, EXAMPLES, with_features=False))
    model = add_adapter(backbone, recipe, seed=0)
    torch.manual_seed(1)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:  # a fresh adapter's B is zero, and so would be the gradient of A
        torch.nn.init.normal_(parameter, std=0.1)
    holder = place_dropout(model, rate=recipe.lora_dropout, seed=0)
    model.train()
    samples = Lookahead(feed, range(share.rank, 4, share.num_workers), num_threads=1)
    _backward(model, feed, samples, recipe, share, holder, step=0)
    found = [p.grad.detach().clone() for p in trained if p.grad is not None]
    model.eval()
    model.unload()
    assert len(found) == len(trained)
    return found


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("modules", ["attention", "language+projector"])
def test_micro_batches_and_workers_drop_the_same(family: str, modules: str) -> None:
    backbone = tiny_backbone(family)
    recipe = RECIPE.model_copy(update={"lora_modules": modules})
    whole = gradients(backbone, recipe, WorkerShare())
    cut = gradients(backbone, recipe.model_copy(update={"micro_batch_size": 1}), WorkerShare())
    shares = [gradients(backbone, recipe, WorkerShare(rank=rank, num_workers=2)) for rank in range(2)]
    for expected, one, *parts in zip(whole, cut, *shares, strict=True):
        assert expected.abs().max() > 0
        assert torch.allclose(one, expected, rtol=1e-3, atol=1e-5)
        assert torch.allclose(torch.stack(parts).mean(dim=0), expected, rtol=1e-3, atol=1e-5)


def test_activations_computed_again_drop_the_same() -> None:
    plain = tiny_backbone("llava")
    samples = encode_samples(plain, EXAMPLES, with_features=True)
    frugal = assemble_backbone(plain.model, plain.processor, SPEC.model_copy(update={"activation_checkpointing": True}))
    weights: list[Any] = []
    for backbone in (frugal, plain):
        if backbone is plain:
            plain.model.activation_checkpointing_disable()
        pack = Pack(backbone, [Member(recipe=RECIPE, feed=EncodedFeed(backbone, samples), seed=0)])
        pack.advance(2)
        weights.append(pack.weights(pack.members[0]))
    for name, matrix in weights[0].up.items():
        assert torch.equal(matrix, weights[1].up[name])
