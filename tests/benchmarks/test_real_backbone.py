"""How parts become a backbone, and what is measured with it: on tiny parts with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmarks.real_backbone import build
from tests.benchmarks.real_backbone import measure as timing
from tests.makers.families import byte_tokenizer
from trainers.backbone.backbone import load_backbone
from trainers.backbone_spec import BackboneSpec

WORDS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def test_two_parts_become_a_backbone_that_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tower = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=98))
    tokenizer = byte_tokenizer("<|im_end|>", "<|endoftext|>", ["<|im_start|>"])
    language = LlamaForCausalLM(LlamaConfig(**WORDS, num_key_value_heads=2, vocab_size=len(tokenizer)))
    build._compose(tower, language, tokenizer, tmp_path / "model")
    assert build.build_backbone(tmp_path) == tmp_path / "model"  # it is there: nothing is fetched
    backbone = load_backbone(BackboneSpec(model=str(tmp_path / "model")).resolved(gpus_per_worker=0))
    said: list[str] = []
    monkeypatch.setattr(timing, "NUM_ROWS", 4)
    found = timing.measure(backbone, 1, said.append, with_features=True)
    assert found["furthest_loss"] < 1e-4
    assert "in a pack of three" in said[0]
