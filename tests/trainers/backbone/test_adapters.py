from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from datasets_spec.errors import UserError
from tests.makers.families import SPEC, tiny_backbone
from trainers.backbone.adapters import add_adapter, load_adapter, save_adapter
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

RECIPE = Recipe(lora_rank=2)


def test_a_fresh_adapter_depends_on_its_seed_only() -> None:
    backbone = tiny_backbone("llava")
    drawn = []
    for seed in (1, 1, 2):
        torch.rand(3)  # what was drawn before does not matter
        model = add_adapter(backbone, RECIPE, seed=seed)
        drawn.append(torch.cat([p.detach().flatten() for n, p in model.named_parameters() if "lora_" in n]))
        model.unload()
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_adapters_sit_where_the_recipe_says() -> None:
    backbone = tiny_backbone("llava")
    adapted = {}
    for modules in ("attention", "language", "language+projector"):
        model = add_adapter(backbone, RECIPE.model_copy(update={"lora_modules": modules}), seed=0)
        adapted[modules] = {n for n, p in model.named_parameters() if p.requires_grad}
        model.unload()
    only = adapted["language+projector"] - adapted["language"]
    assert adapted["attention"] < adapted["language"] < adapted["language+projector"]
    assert all(".self_attn." in name for name in adapted["attention"])
    assert not any(".self_attn." in name for name in adapted["language"] - adapted["attention"])
    assert all("multi_modal_projector" in name for name in only)


def test_a_pickled_adapter_is_never_loaded(tmp_path: Path) -> None:
    backbone = tiny_backbone("llava")
    model = add_adapter(backbone, RECIPE, seed=0)
    save_adapter(model, tmp_path, SPEC)
    model.unload()
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(UserError, match="pickled"):
        load_adapter(backbone, tmp_path)


def test_a_saved_adapter_names_the_hub_and_not_this_machine(tmp_path: Path) -> None:
    model = add_adapter(tiny_backbone("llava"), RECIPE, seed=0)
    save_adapter(model, tmp_path, BackboneSpec(model="org/model", revision="abc"))
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/model", "abc")
    assert not list(tmp_path.glob("*.bin"))
