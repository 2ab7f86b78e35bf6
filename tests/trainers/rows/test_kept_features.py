"""Kept features are refused for what they say, and not for how it is rounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import torch

from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row
from trainers.backbone.backbone import Backbone, assemble_backbone
from trainers.backbone_spec import BackboneSpec
from trainers.prompts.encoder import example_from_row
from trainers.rows import encoded_blocks, kept_features
from trainers.rows.encoded_blocks import NOT_KEPT_COLUMN, RowEncoder
from trainers.rows.encoded_samples import encode_samples, prompt_batch
from trainers.rows.kept_features import HALF_ROUNDING, FeaturesNotKeptError, check_kept

ROWS = [toy_row(i, num_images=1 + i % 2, is_open=i == 5) for i in range(8)]
EXAMPLES = [example_from_row(row) for row in ROWS]


@pytest.fixture(scope="module", params=[(f, d) for f in FAMILIES for d in ("float32", "bfloat16")], ids=str)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    family, dtype = request.param
    plain = tiny_backbone(family)
    model = plain.model.to(getattr(torch, dtype))
    return assemble_backbone(model, plain.processor, SPEC.model_copy(update={"dtype": dtype}))


def test_right_features_are_kept_and_those_of_other_images_refused(backbone: Backbone) -> None:
    samples = encode_samples(backbone, EXAMPLES, with_features=True)
    check_kept(backbone, EXAMPLES, prompt_batch(backbone, samples))
    swapped = [replace(s, features=samples[i - 2].features) for i, s in enumerate(samples)]
    with pytest.raises(FeaturesNotKeptError, match="nats"):
        check_kept(backbone, EXAMPLES, prompt_batch(backbone, swapped))


def moved(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let the second of two passes say what the first did, changed."""
    said: list[torch.Tensor] = []
    original = kept_features._log_probs

    def changed(backbone: Backbone, inputs: dict[str, Any]) -> torch.Tensor:
        said.append(original(backbone, inputs))
        return said[-1] if len(said) == 1 else change(said[0]).log_softmax(dim=-1)

    monkeypatch.setattr(kept_features, "_log_probs", changed)


def half_backbone() -> Backbone:
    plain = tiny_backbone("llava")
    return assemble_backbone(
        plain.model.to(torch.bfloat16), plain.processor, SPEC.model_copy(update={"dtype": "bfloat16"})
    )


def test_a_rounding_of_every_log_probability_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.07 to 0.13 was seen on right features, where 0.05 was asked for."""
    backbone = half_backbone()
    samples = encode_samples(backbone, EXAMPLES, with_features=True)
    signs = torch.Generator().manual_seed(0)
    moved(monkeypatch, lambda log_probs: log_probs + 0.13 * torch.randn(log_probs.shape, generator=signs).sign())
    check_kept(backbone, EXAMPLES, prompt_batch(backbone, samples))


def test_another_answer_is_a_reason_though_few_nats_lie_between(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = half_backbone()
    samples = encode_samples(backbone, EXAMPLES, with_features=True)
    letters = backbone.encoder.letter_ids(2)

    def unlikely(log_probs: torch.Tensor) -> torch.Tensor:
        told = log_probs.clone()
        told[0, letters] = torch.tensor([-12.0, -12.0 - 4 * HALF_ROUNDING])
        return told

    original = kept_features._log_probs
    passes: list[int] = []

    def first_then_other(backbone: Backbone, inputs: dict[str, Any]) -> torch.Tensor:
        passes.append(1)
        told = unlikely(original(backbone, inputs))
        if len(passes) == 2:
            told[0, letters] = told[0, letters].flip(0)
        return told

    monkeypatch.setattr(kept_features, "_log_probs", first_then_other)
    with pytest.raises(FeaturesNotKeptError, match="1 of 8 answers"):
        check_kept(backbone, EXAMPLES, prompt_batch(backbone, samples))


class LlavaEncoder(RowEncoder):
    def _load(self, spec: BackboneSpec) -> Backbone:
        return tiny_backbone("llava")


def test_rows_whose_features_cannot_be_kept_say_why_and_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise FeaturesNotKeptError("they differ")

    rows = pa.Table.from_pylist(ROWS)
    kept = LlavaEncoder(spec=SPEC, num_threads=1)(rows)
    assert kept[NOT_KEPT_COLUMN].null_count == len(ROWS)
    assert all(len(tensors) for tensors in kept["tensors"].to_pylist())
    monkeypatch.setattr(encoded_blocks, "check_kept", refused)
    encoder = LlavaEncoder(spec=SPEC, num_threads=1)
    for _ in range(2):
        table = encoder(rows)
        assert set(table[NOT_KEPT_COLUMN].to_pylist()) == {"they differ"}
        assert table.schema.equals(kept.schema)
        assert not any(table["tensors"].to_pylist())


def test_a_backbone_that_cannot_be_loaded_says_so() -> None:
    table = RowEncoder(spec=SPEC.model_copy(update={"model": "/nowhere"}), num_threads=1)(pa.Table.from_pylist(ROWS))
    (reason,) = set(table[NOT_KEPT_COLUMN].to_pylist())
    assert "cannot load '/nowhere'" in reason
