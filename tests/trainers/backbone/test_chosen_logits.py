"""Only chosen positions reach the vocabulary, and what comes out is what a whole pass gives there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.makers.families import FAMILIES, tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone
from trainers.backbone.chosen_logits import logits_at
from trainers.prompts.encoder import IGNORED, example_from_row
from trainers.recipe import Recipe
from trainers.training.loop import answer_losses, batch_losses

# Prompts of one to three images: their answers stand at different places, and some are long.
ROWS = [toy_row(i, num_images=1 + i % 3, is_open=i % 2 == 0) | {"answer": "yes " * 5} for i in range(6)]


@pytest.fixture(scope="module", params=list(FAMILIES))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return tiny_backbone(request.param)


def rows_at_head(model: Any) -> list[int]:
    """How many positions each later pass takes to the vocabulary."""
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(
        lambda module, args, output: seen.append(args[0].shape[:-1].numel())
    )
    return seen


def training_inputs(backbone: Backbone) -> dict[str, torch.Tensor]:
    return backbone.encoder.encode_training([example_from_row(row) for row in ROWS])


def test_answers_alone_reach_the_vocabulary_and_the_loss_is_the_whole_ones(backbone: Backbone) -> None:
    inputs = training_inputs(backbone)
    targets = inputs["labels"][:, 1:]
    wanted = targets != IGNORED
    with torch.inference_mode():
        logits = backbone.model(**{n: v for n, v in inputs.items() if n != "labels"}, use_cache=False).logits
        whole = answer_losses(logits[:, :-1][wanted], targets)
        rows = rows_at_head(backbone.model)
        for only_answers in (True, False):
            found = batch_losses(backbone.model, dict(inputs), only_answers=only_answers)
            assert torch.allclose(found, whole, rtol=1e-5)
    assert rows[0] == int(wanted.sum())
    assert rows[1] == inputs["input_ids"].numel()


def test_gradients_flow_through_what_was_chosen(backbone: Backbone) -> None:
    model = add_adapter(backbone, Recipe(lora_rank=2), seed=0)
    try:
        gradients = []
        for only_answers in (True, False):
            batch_losses(model, training_inputs(backbone), only_answers=only_answers).sum().backward()  # type: ignore[no-untyped-call]
            trained = [p for p in model.parameters() if p.requires_grad]
            gradients.append(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]))
            model.zero_grad()
        assert float(gradients[0].norm()) > 0
        assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-4
    finally:
        model.unload()


def test_one_position_a_row_is_one_row_of_logits(backbone: Backbone) -> None:
    inputs = backbone.encoder.encode_prompts([example_from_row(row) for row in ROWS])
    last = inputs["attention_mask"].sum(dim=1) - 1
    assert len(set(last.tolist())) > 1
    wanted = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    wanted[torch.arange(len(last)), last] = True
    with torch.inference_mode():
        whole = backbone.model(**inputs, use_cache=False).logits[torch.arange(len(last)), last]
        rows = rows_at_head(backbone.model)
        found = logits_at(backbone.model, inputs, wanted)
    assert torch.allclose(found, whole, rtol=1e-4, atol=1e-4)
    assert rows == [len(ROWS)]
    # and nothing is left on the model
    assert backbone.model(**inputs, use_cache=False).logits.shape[:2] == inputs["input_ids"].shape
