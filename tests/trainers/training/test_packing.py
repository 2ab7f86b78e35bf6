"""A fine-tune in a pack goes exactly as it goes alone (issue 5: bit for bit on one CPU thread)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone, assemble_backbone
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_samples import EncodedSample, encode_samples
from trainers.rows.feeds import DirectFeed, EncodedFeed, Feed
from trainers.scoring.outcome import Outcome
from trainers.scoring.scorer import score_adapters, score_rows
from trainers.training.loop import batch_indices, finetune
from trainers.training.packed_adapters import AdapterWeights, as_peft_model, fresh_weights
from trainers.training.packed_loop import Member, Pack

BASE = Recipe(learning_rate=1e-2, num_steps=6, batch_size=4, lora_rank=4)
# Five fine-tunes that differ in all that may differ in a pack.
RECIPES = [
    BASE,
    BASE.model_copy(update={"learning_rate": 3e-2, "weight_decay": 0.3, "warmup_fraction": 0.5}),
    BASE.model_copy(update={"lora_rank": 2, "lora_alpha": 3.0}),
    BASE.model_copy(update={"lora_dropout": 0.3, "max_grad_norm": 0.01}),
    BASE.model_copy(update={"lora_rank": 8}),
]
ROWS = [toy_row(i) for i in range(12)]
PARTS = [range(7), range(3, 9), range(2, 12), range(5), range(4, 12)]  # which rows each trains on


def rows_table(part: Sequence[int], rows: Sequence[dict[str, Any]] = ROWS) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([rows[i] for i in part])


@pytest.fixture(scope="module", params=list(FAMILIES))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return tiny_backbone(request.param)


@pytest.fixture(scope="module")
def samples(backbone: Backbone) -> list[EncodedSample]:
    return encode_samples(backbone, [example_from_row(row) for row in ROWS], with_features=True)


def num_tokens(feed: Feed, recipe: Recipe, seed: int) -> int:
    """What a fine-tune trains on."""
    order = batch_indices(len(feed), batch_size=recipe.batch_size, num_steps=recipe.num_steps, seed=seed)
    return sum(sample.num_tokens for batch in order for sample in feed.take(batch))


def alone(backbone: Backbone, number: int, recipe: Recipe) -> tuple[AdapterWeights, list[Outcome], float]:
    """One fine-tune by PEFT over rows, as the nested executor does it."""
    model = add_adapter(backbone, recipe, seed=number)
    try:
        feed = DirectFeed(backbone.encoder, rows_table(PARTS[number]))
        result = finetune(model, feed, recipe, seed=number)
        assert result.num_tokens == num_tokens(feed, recipe, number)
        state = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        outcomes = score_rows(
            model, backbone.encoder, DirectFeed(backbone.encoder, rows_table(range(12))), eval_set="t", split="search",
            batch_size=5, generate=True,
        )  # fmt: skip
    finally:
        model.unload()
    name = {n: n.removeprefix("base_model.model.").split(".lora_")[0] for n in state}
    weights = AdapterWeights(
        down={name[n]: p for n, p in state.items() if "lora_A" in n},
        up={name[n]: p for n, p in state.items() if "lora_B" in n},
        scaling=recipe.lora_alpha / recipe.lora_rank,
    )
    assert result.final_loss is not None
    return weights, outcomes, result.final_loss


def members_of(backbone: Backbone, samples: Sequence[EncodedSample], recipes: Sequence[Recipe]) -> list[Member]:
    return [
        Member(recipe=recipe, feed=EncodedFeed(backbone, [samples[i] for i in PARTS[number]]), seed=number)
        for number, recipe in enumerate(recipes)
    ]


def assert_equal(found: AdapterWeights, expected: AdapterWeights) -> None:
    assert (found.rank, found.scaling) == (expected.rank, expected.scaling)
    for mine, theirs in ((found.down, expected.down), (found.up, expected.up)):
        assert list(mine) == list(theirs)
        for name in mine:
            assert torch.equal(mine[name], theirs[name]), name


def test_five_in_a_pack_are_five_alone(backbone: Backbone, samples: list[EncodedSample]) -> None:
    members = members_of(backbone, samples, RECIPES)
    pack = Pack(backbone, members)
    before = [pack.weights(member) for member in members]
    pack.advance(BASE.num_steps)
    for member in members:
        assert member.num_tokens == num_tokens(member.feed, member.recipe, member.seed)
    with pack.scoring(members) as model:
        scored = score_adapters(
            model, backbone.encoder, EncodedFeed(backbone, samples), num_adapters=5, eval_set="t", split="search",
            batch_size=5, generate=True,
        )  # fmt: skip
    outcomes = dict(zip(map(id, pack.members), scored, strict=True))
    for number, (member, start) in enumerate(zip(members, before, strict=True)):
        expected, expected_outcomes, final_loss = alone(backbone, number, RECIPES[number])
        assert_equal(pack.weights(member), expected)
        assert not all(torch.equal(start.up[n], expected.up[n]) for n in start.up)  # it did move
        assert outcomes[id(member)] == expected_outcomes
        assert member.loss == pytest.approx(final_loss, rel=1e-5)
        assert member.num_steps == BASE.num_steps
    assert not any("lora" in name for name, _ in backbone.model.named_modules())


def test_samples_of_unequal_length_change_the_last_digits_only() -> None:
    backbone = tiny_backbone("llava")
    rows = [toy_row(i, num_images=1 + 2 * (i >= 7)) for i in range(12)]  # the second member's are longer
    samples = encode_samples(backbone, [example_from_row(row) for row in rows], with_features=True)
    pack = Pack(
        backbone,
        [
            Member(recipe=BASE, feed=EncodedFeed(backbone, samples[:7]), seed=0),
            Member(recipe=BASE, feed=EncodedFeed(backbone, samples[7:]), seed=1),
        ],
    )
    pack.advance(BASE.num_steps)
    for number, part in enumerate((range(7), range(7, 12))):
        model = add_adapter(backbone, BASE, seed=number)
        finetune(model, DirectFeed(backbone.encoder, rows_table(part, rows)), BASE, seed=number)
        expected = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
        model.unload()
        weights = pack.weights(pack.members[number])
        found = torch.cat([m.flatten() for n in weights.down for m in (weights.down[n], weights.up[n])])
        assert float((found - expected).norm() / expected.norm()) <= 1e-4  # issue 5's tolerance


def test_who_leaves_early_does_not_change_the_others(backbone: Backbone, samples: list[EncodedSample]) -> None:
    members = members_of(backbone, samples, RECIPES)
    pack = Pack(backbone, members)
    pack.advance(2)
    pack.remove([members[0], members[2]])
    pack.advance(BASE.num_steps - 2)
    for number in (1, 3, 4):  # the third has dropout: its random numbers go on where they were
        assert_equal(pack.weights(members[number]), alone(backbone, number, RECIPES[number])[0])


def test_a_fine_tune_goes_on_from_its_checkpoint(backbone: Backbone, samples: list[EncodedSample]) -> None:
    recipes = [RECIPES[0], RECIPES[3]]
    members = members_of(backbone, samples, recipes)
    pack = Pack(backbone, members)
    pack.advance(4)
    states = [pack.state(member) for member in members]
    again = members_of(backbone, samples, recipes)
    fresh = Member(recipe=BASE, feed=EncodedFeed(backbone, [samples[i] for i in PARTS[2]]), seed=2)
    resumed = Pack(backbone, [fresh, *again], states=[None, *states])  # beside one that begins
    resumed.advance(2)
    pack.advance(2)
    assert fresh.num_steps == 2
    for old, new in zip(members, again, strict=True):
        assert new.num_steps == BASE.num_steps
        assert_equal(resumed.weights(new), pack.weights(old))


def test_one_that_diverges_leaves_alone() -> None:
    backbone = tiny_backbone("llava")
    samples = encode_samples(backbone, [example_from_row(row) for row in ROWS], with_features=True)
    poisoned = [replace(s, features=torch.full_like(s.features, math.nan)) for s in samples if s.features is not None]
    members = members_of(backbone, samples, RECIPES[:3])
    members[1].feed = EncodedFeed(backbone, poisoned)
    pack = Pack(backbone, members)
    assert pack.advance(BASE.num_steps) == [members[1]]
    assert "step 1" in (members[1].diverged or "")
    for number in (0, 2):
        assert_equal(pack.weights(members[number]), alone(backbone, number, RECIPES[number])[0])


def test_micro_batches_do_not_change_the_experiment(backbone: Backbone, samples: list[EncodedSample]) -> None:
    whole, cut = (
        Pack(backbone, members_of(backbone, samples, [r.model_copy(update={"micro_batch_size": m}) for r in RECIPES]))
        for m in (None, 1)
    )
    for pack in (whole, cut):
        pack.advance(1)
    for one, other in zip(whole.members, cut.members, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)


def test_unlike_fine_tunes_are_not_packed() -> None:
    backbone = tiny_backbone("llava")
    samples = encode_samples(backbone, [example_from_row(row) for row in ROWS], with_features=True)
    recipes = [BASE, BASE.model_copy(update={"batch_size": 2})]
    with pytest.raises(ValueError, match="same modules, batch"):
        Pack(backbone, members_of(backbone, samples, recipes))


def test_an_adapter_goes_into_peft_and_out_again(backbone: Backbone) -> None:
    weights = fresh_weights(backbone, RECIPES[4], seed=3)
    other = fresh_weights(backbone, RECIPES[4], seed=4)
    assert not all(torch.equal(weights.down[n], other.down[n]) for n in weights.down)
    with as_peft_model(backbone, RECIPES[4], weights) as model:
        state = {n: p for n, p in model.named_parameters() if p.requires_grad}
        assert len(state) == 2 * len(weights.down)
        for name, matrix in weights.down.items():
            assert torch.equal(state[f"base_model.model.{name}.lora_A.default.weight"], matrix)
    assert not any("lora" in name for name, _ in backbone.model.named_modules())


def test_activations_computed_twice_give_the_same_weights() -> None:
    spec = SPEC.model_copy(update={"activation_checkpointing": True})
    plain = tiny_backbone("llava")
    frugal = assemble_backbone(plain.model, plain.processor, spec)
    samples = encode_samples(plain, [example_from_row(row) for row in ROWS], with_features=True)
    weights = []
    for backbone in (frugal, plain):
        if backbone is plain:
            plain.model.activation_checkpointing_disable()
        pack = Pack(backbone, members_of(backbone, samples, RECIPES[:2]))
        pack.advance(2)
        weights.append([pack.weights(member) for member in pack.members])
    for one, other in zip(*weights, strict=True):
        assert_equal(one, other)
