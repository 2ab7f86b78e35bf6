"""The loop: the same batches and the same gradients, however they are cut."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.makers.families import tiny_backbone, toy_rows
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.rows.lookahead import Lookahead
from trainers.training.dropout import BatchHolder
from trainers.training.loop import WorkerShare, _backward, batch_indices, finetune, rate_factor
from trainers.trial.failures import DivergedError, TrialTimeoutError

RECIPE = Recipe(learning_rate=1e-2, num_steps=3, batch_size=5, lora_rank=2)
ROWS = toy_rows(7)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def trained(backbone: Backbone, recipe: Recipe = RECIPE, **options: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Result and adapter weights of a fine-tune from the same start; the backbone is left as it was."""
    model = add_adapter(backbone, recipe, seed=0)
    try:
        result = finetune(model, DirectFeed(backbone.encoder, ROWS), recipe, seed=options.pop("seed", 0), **options)
        return result, {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    finally:
        model.unload()


sizes = st.integers(1, 9)


@given(sizes, sizes, st.integers(0, 9), st.integers(0, 99), sizes)
def test_the_workers_shares_are_the_batch(rows: int, size: int, steps: int, seed: int, workers: int) -> None:
    batches = list(batch_indices(rows, batch_size=size, num_steps=steps, seed=seed))
    again = list(batch_indices(rows, batch_size=size, num_steps=steps, seed=seed))
    assert [b.tolist() for b in batches] == [b.tolist() for b in again]
    assert [len(b) for b in batches] == [size] * steps
    for batch in batches:
        shares = [batch[rank::workers].tolist() for rank in range(workers)]
        assert Counter(i for share in shares for i in share) == Counter(batch.tolist())
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(sizes, sizes, st.integers(1, 9), st.integers(0, 99))
def test_rows_are_seen_equally_often(rows: int, size: int, steps: int, seed: int) -> None:
    seen = np.concatenate(list(batch_indices(rows, batch_size=size, num_steps=steps, seed=seed)))
    for start in range(0, len(seen), rows):  # every epoch is a permutation, whatever the batches
        epoch = seen[start : start + rows]
        assert len(set(epoch.tolist())) == len(epoch)
    assert set(seen.tolist()) <= set(range(rows))


@given(sizes, sizes, st.integers(0, 9), st.integers(1, 9))
def test_more_steps_begin_with_the_same_steps(rows: int, size: int, steps: int, further: int) -> None:
    short, long = (
        [b.tolist() for b in batch_indices(rows, batch_size=size, num_steps=n, seed=1)]
        for n in (steps, steps + further)
    )
    assert long[:steps] == short


def test_the_seed_and_the_epoch_change_the_order() -> None:
    orders = [tuple(next(batch_indices(50, batch_size=50, num_steps=1, seed=seed)).tolist()) for seed in (0, 1)]
    first, second = (b.tolist() for b in batch_indices(50, batch_size=50, num_steps=2, seed=0))
    assert len({*orders, tuple(second)}) == 3
    assert tuple(first) == orders[0]


def gradients(backbone: Backbone, recipe: Recipe, share: WorkerShare) -> list[torch.Tensor]:
    model = add_adapter(backbone, recipe, seed=0)
    torch.manual_seed(1)
    for parameter in model.parameters():  # a fresh adapter's B is zero, and so would be the gradient of A
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    indices = next(batch_indices(ROWS.num_rows, batch_size=recipe.batch_size, num_steps=1, seed=0))
    feed = DirectFeed(backbone.encoder, ROWS)
    mine = Lookahead(feed, indices[share.rank :: share.num_workers].tolist(), num_threads=1)
    _backward(model, feed, mine, recipe, share, BatchHolder(), step=0)
    found = [p.grad.detach().clone() for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert len(found) == sum(p.requires_grad for p in model.parameters())
    model.unload()
    return found


@pytest.mark.parametrize("num_workers", [2, 3, 6])
def test_averaged_over_workers_the_gradient_is_that_of_one(backbone: Backbone, num_workers: int) -> None:
    recipe = RECIPE.model_copy(update={"batch_size": 6})
    whole = gradients(backbone, recipe, WorkerShare())
    parts = [gradients(backbone, recipe, WorkerShare(rank=r, num_workers=num_workers)) for r in range(num_workers)]
    for expected, *shares in zip(whole, *parts, strict=True):
        assert expected.abs().max() > 0
        assert torch.allclose(torch.stack(shares).mean(dim=0), expected, rtol=1e-3, atol=1e-5)


def test_batches_that_workers_cannot_share_evenly_are_refused(backbone: Backbone) -> None:
    """One with fewer samples, or fewer micro-batches, would leave the others waiting for its gradients."""
    with pytest.raises(ValueError, match="2 workers cannot share batches of 5 evenly"):
        trained(backbone, share=WorkerShare(rank=0, num_workers=2))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_micro_batches_sum_to_the_same_gradient(backbone: Backbone, size: int) -> None:
    whole = gradients(backbone, RECIPE, WorkerShare())
    cut = gradients(backbone, RECIPE.model_copy(update={"micro_batch_size": size}), WorkerShare())
    for expected, found in zip(whole, cut, strict=True):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_training_repeats_bit_for_bit_and_follows_the_seed(backbone: Backbone) -> None:
    recipe = RECIPE.model_copy(update={"lora_dropout": 0.2})
    (result, one), (_, two), (_, other) = (trained(backbone, recipe, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert result.num_steps == 3
    assert math.isfinite(result.final_loss)


def test_only_the_adapter_is_trained(backbone: Backbone) -> None:
    before = {n: p.detach().clone() for n, p in backbone.model.named_parameters()}
    _, weights = trained(backbone)
    assert all("lora_" in name for name in weights)
    after = dict(backbone.model.named_parameters())
    assert set(after) == set(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_no_steps_or_no_rows_change_nothing(backbone: Backbone) -> None:
    _, fresh = trained(backbone, RECIPE.model_copy(update={"num_steps": 0}))
    assert all((weights == 0).all() for name, weights in fresh.items() if "lora_B" in name)
    model = add_adapter(backbone, RECIPE, seed=0)
    result = finetune(model, DirectFeed(backbone.encoder, ROWS.slice(0, 0)), RECIPE, seed=0)
    model.unload()
    assert (result.num_steps, result.final_loss) == (0, None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_trial(backbone: Backbone, value: float) -> None:
    model = add_adapter(backbone, RECIPE, seed=0)
    poisoned = next(p for n, p in model.named_parameters() if "lora_B" in n)

    def poison(step: int, loss: float) -> None:
        with torch.no_grad():
            poisoned.fill_(value)

    try:
        with pytest.raises(DivergedError, match="step 2"):
            finetune(model, DirectFeed(backbone.encoder, ROWS), RECIPE, seed=0, on_step=poison)
    finally:
        model.unload()


def test_a_trial_past_its_deadline_stops_and_says_how_far_it_came(backbone: Backbone) -> None:
    with pytest.raises(TrialTimeoutError, match="0 of 3 steps"):
        trained(backbone, deadline_s=time.monotonic() - 1)
    steps: list[int] = []
    trained(backbone, deadline_s=time.monotonic() + 600, on_step=lambda step, _: steps.append(step))
    assert steps == [1, 2, 3]


@given(st.integers(1, 60), st.floats(0, 1))
def test_the_rate_warms_up_to_its_peak_and_decays(num_steps: int, warmup_fraction: float) -> None:
    recipe = Recipe(num_steps=num_steps, warmup_fraction=warmup_fraction)
    factors = [rate_factor(step, recipe) for step in range(num_steps)]
    peak = factors.index(max(factors))
    assert all(0 < f <= 1 for f in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert max(factors) == pytest.approx(1.0)
