"""Kept samples give what the direct path gives, in every family of backbones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.makers.families import FAMILIES, tiny_backbone, toy_row
from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import ImagesDidNotReachModelError, example_from_row
from trainers.rows.encoded_samples import (
    PIXEL_TENSORS,
    encode_samples,
    prompt_batch,
    training_batch,
)
from trainers.rows.kept_features import check_kept

EXAMPLES = [example_from_row(toy_row(i, num_images=1 + i % 3, is_open=i == 4)) for i in range(6)]


@pytest.fixture(scope="module", params=list(FAMILIES))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return tiny_backbone(request.param)


def without_pixels(inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {n: v for n, v in inputs.items() if n not in (*PIXEL_TENSORS, "mm_encoder_outputs")}


@pytest.mark.parametrize("with_features", [False, True])
def test_batches_are_those_of_the_direct_path(backbone: Backbone, with_features: bool) -> None:
    samples = encode_samples(backbone, EXAMPLES, with_features=with_features)
    for direct, kept in (
        (backbone.encoder.encode_training(EXAMPLES), training_batch(backbone, samples)),
        (backbone.encoder.encode_prompts(EXAMPLES), prompt_batch(backbone, samples)),
        (backbone.encoder.encode_prompts(EXAMPLES, padding_side="left"), prompt_batch(backbone, samples, "left")),
    ):
        expected, found = (without_pixels(direct), without_pixels(kept)) if with_features else (direct, kept)
        assert set(expected) == set(found)
        for name, value in expected.items():
            assert torch.equal(found[name], value), name
    check_kept(backbone, EXAMPLES, prompt_batch(backbone, samples))


def test_generated_answers_are_those_of_the_direct_path(backbone: Backbone) -> None:
    samples = encode_samples(backbone, EXAMPLES, with_features=True)
    options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    direct = backbone.model.generate(**backbone.encoder.encode_prompts(EXAMPLES, padding_side="left"), **options)
    kept = backbone.model.generate(**prompt_batch(backbone, samples, "left"), **options)
    assert torch.equal(direct, kept)


def test_what_the_backbone_would_cut_is_refused() -> None:
    backbone = tiny_backbone("llava")
    samples = encode_samples(backbone, EXAMPLES[:1], with_features=True)
    backbone.encoder._max_tokens = samples[0].num_tokens - 1
    prompt_batch(backbone, samples)
    with pytest.raises(ImagesDidNotReachModelError, match="nothing is cut"):
        training_batch(backbone, samples)
