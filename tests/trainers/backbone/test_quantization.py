"""Four-bit weights: whose, how large, whose identity; trained on where bitsandbytes is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError
from tests.makers.families import FAMILIES, tiny_backbone, toy_rows
from trainers.backbone import quantization
from trainers.backbone.adapters import add_adapter, load_adapter, save_adapter
from trainers.backbone.backbone import PROMPTS_VERSION, backbone_fingerprint, load_backbone
from trainers.backbone.quantization import NF4_BYTES, outside_decoder, weight_bytes
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.training.loop import finetune
from trainers.training.memory_estimate import estimate_memory
from trainers.training.packed_loop import Member, Pack

NF4 = BackboneSpec(quantization="nf4").resolved(gpus_per_worker=0)
RECIPE = Recipe(learning_rate=1e-2, num_steps=2, batch_size=3, lora_rank=2)
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="the extra `quantization`")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_only_the_language_models_layers_are_quantised(family: str) -> None:
    model = tiny_backbone(family).model
    kept = outside_decoder(model)
    decoder = {id(module) for module in model.get_decoder().modules()}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            is_kept = any(name == part or name.startswith(f"{part}.") for part in kept)
            assert is_kept == (id(module) not in decoder), name


def test_the_estimate_counts_four_bits_a_weight() -> None:
    plain, quantised = (
        estimate_memory(spec, RECIPE, num_packed=1, num_tokens=64)
        for spec in (NF4.model_copy(update={"quantization": None}), NF4)
    )
    assert quantised.weights_gib < plain.weights_gib
    assert quantised.activations_gib == plain.activations_gib


def test_it_is_part_of_the_identity_only_when_set() -> None:
    for model in ("phantom", "org/model"):
        plain = BackboneSpec(model=model, revision="a" * 40)
        assert backbone_fingerprint(plain) != backbone_fingerprint(plain.model_copy(update={"quantization": "nf4"}))
    hub = BackboneSpec(model="org/model", revision="a" * 40)
    before = {"model": "org/model", "revision": "a" * 40, "prompts": PROMPTS_VERSION}
    assert backbone_fingerprint(hub) == content_hash(before)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="bitsandbytes") as caught:
        load_backbone(NF4)
    assert "recombine[quantization]" in str(caught.value.hint)


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_pack_on_four_bits_trains_as_each_alone(dtype: str, tmp_path: Path) -> None:
    spec = NF4.model_copy(update={"dtype": dtype})
    backbone = load_backbone(spec)
    layers = {n for n, m in backbone.model.named_modules() if type(m).__name__ == "Linear4bit"}
    assert layers == {
        n for n, m in backbone.model.named_modules() if "language_model" in n and hasattr(m, "in_features")
    }
    feed = DirectFeed(backbone.encoder, toy_rows(5))
    alone = []
    for seed in (0, 1):
        model: Any = add_adapter(backbone, RECIPE, seed=seed)
        finetune(model, feed, RECIPE, seed=seed)
        alone.append([p.detach().clone() for p in model.parameters() if p.requires_grad])
        if seed == 1:
            save_adapter(model, tmp_path, spec)
        model.unload()
    pack = Pack(backbone, [Member(recipe=RECIPE, feed=feed, seed=seed) for seed in (0, 1)])
    pack.advance(RECIPE.num_steps)
    for member, weights in zip(pack.members, alone, strict=True):
        found = pack.weights(member)
        together = [matrix for name in found.down for matrix in (found.down[name], found.up[name])]
        assert all(torch.equal(a, b) for a, b in zip(weights, together, strict=True))
    loaded = load_adapter(backbone, tmp_path)
    again = [p for n, p in loaded.named_parameters() if "lora_" in n]
    assert all(torch.equal(a, b) for a, b in zip(alone[1], again, strict=True))
    loaded.unload()


def test_four_bits_and_their_scales_are_about_half_a_byte() -> None:
    model = load_backbone(NF4.model_copy(update={"quantization": None})).model
    linear = [m.weight for m in model.get_decoder().modules() if isinstance(m, torch.nn.Linear)]
    values = sum(w.numel() for w in linear)
    assert weight_bytes(model, None) - weight_bytes(model, "nf4") == pytest.approx(values * (4 - NF4_BYTES))
