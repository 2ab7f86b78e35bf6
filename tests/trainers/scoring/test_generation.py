"""Answers are greedy whatever a checkpoint brings along."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from tests.makers.families import FAMILIES, tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.scoring.generation import greedy_tokens

# What published checkpoints have in `generation_config.json`, made extreme.
THEIRS = {
    "repetition_penalty": 5.0,
    "do_sample": True,
    "temperature": 5.0,
    "top_k": 3,
    "num_beams": 2,
    "no_repeat_ngram_size": 1,
    "suppress_tokens": list(range(60)),
    "max_length": 3,
    "min_new_tokens": 4,
}


@pytest.mark.parametrize("with_adapter", [False, True])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_checkpoints_own_configuration_changes_no_text(family: str, with_adapter: bool) -> None:
    backbone = tiny_backbone(family)
    model: Any = add_adapter(backbone, Recipe(lora_rank=2), seed=0) if with_adapter else backbone.model
    examples = [example_from_row(toy_row(i, num_images=1 + i % 2)) for i in range(4)]

    def written() -> tuple[torch.Tensor, int]:
        inputs = backbone.encoder.encode_prompts(examples, padding_side="left")
        beats: list[None] = []
        tokens = greedy_tokens(
            model, backbone.encoder.tokenizer, inputs, max_new_tokens=8, on_token=lambda: beats.append(None)
        )
        return tokens, len(beats)

    plain, num_beats = written()
    assert num_beats == plain.shape[1] > 0
    theirs = GenerationConfig(**THEIRS)
    backbone.model.generation_config = theirs
    again, _ = written()
    assert torch.equal(again, plain)
    assert backbone.model.generation_config is theirs
