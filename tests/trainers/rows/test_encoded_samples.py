"""Kept samples give what the direct path gives, in every family of backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.makers.families import FAMILIES, tiny_backbone, toy_row
from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import ImagesDidNotReachModelError, example_from_row
from trainers.rows import encoded_samples
from trainers.rows.encoded_samples import (
    PIXEL_TENSORS,
    EncodedSample,
    encode_samples,
    num_image_tokens,
    prompt_batch,
    training_batch,
)
from trainers.rows.kept_features import FeaturesNotKeptError, check_kept

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


def tower_passes(monkeypatch: pytest.MonkeyPatch, *, most: int) -> list[int]:
    """Image tokens of every pass of the vision tower; passes of more than `most` run out of memory."""
    passes: list[int] = []
    original = encoded_samples.vision_features

    def counted(backbone: Backbone, samples: Sequence[EncodedSample]) -> list[torch.Tensor]:
        passes.append(sum(num_image_tokens(backbone, sample) for sample in samples))
        if passes[-1] > most:
            raise RuntimeError("CUDA error: out of memory")
        return original(backbone, samples)

    monkeypatch.setattr(encoded_samples, "vision_features", counted)
    return passes


def test_a_pass_of_the_tower_is_as_large_as_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four large images would not fit where sixty-four small ones do."""
    backbone = tiny_backbone("qwen2_vl")
    plain = encode_samples(backbone, EXAMPLES, with_features=True)
    sizes = [num_image_tokens(backbone, sample) for sample in plain]
    most = max(sizes)
    monkeypatch.setattr(encoded_samples, "TOWER_TOKENS", most)
    passes = tower_passes(monkeypatch, most=10**9)
    cut = encode_samples(backbone, EXAMPLES, with_features=True)
    assert len(passes) > 1
    assert max(passes) <= most
    assert sum(passes) == sum(sizes)
    for one, other in zip(plain, cut, strict=True):
        assert torch.allclose(one.features, other.features, atol=1e-5)  # type: ignore[arg-type]


def test_a_pass_that_does_not_fit_is_made_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("qwen2_vl")
    plain = encode_samples(backbone, EXAMPLES, with_features=True)
    sizes = [num_image_tokens(backbone, sample) for sample in plain]
    passes = tower_passes(monkeypatch, most=max(sizes))
    cut = encode_samples(backbone, EXAMPLES, with_features=True)
    assert passes[0] == sum(sizes)
    assert [s.example.sample_id for s in cut] == [s.example.sample_id for s in plain]
    for one, other in zip(plain, cut, strict=True):
        assert torch.allclose(one.features, other.features, atol=1e-5)  # type: ignore[arg-type]
    tower_passes(monkeypatch, most=max(sizes) - 1)
    with pytest.raises(FeaturesNotKeptError, match=f"no memory for one sample of {max(sizes)} image tokens"):
        encode_samples(backbone, EXAMPLES, with_features=True)
