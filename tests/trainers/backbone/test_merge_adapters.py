"""Merged adapters are the sum of what they add, on the shipped backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from datasets_spec.errors import UserError
from search.bench.phantom.rows import make_rows
from trainers.backbone.adapters import add_adapter, load_adapter, save_adapter
from trainers.backbone.backbone import Backbone, load_backbone
from trainers.backbone.merge_adapters import merge_adapters
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.recipe import Recipe

SPEC = BackboneSpec(model=str(PHANTOM_DIR), device="cpu", dtype="float32")
IDENTITY_ERROR = 1e-5


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(SPEC)


@pytest.fixture(scope="module")
def adapters(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three adapters with real, different effects: ranks 2, 4 and 3, alphas 4, 4 and 12."""
    root = tmp_path_factory.mktemp("adapters")
    folders = []
    for seed, (rank, alpha) in enumerate(((2, 4.0), (4, 4.0), (3, 12.0))):
        model = add_adapter(backbone, Recipe(lora_rank=rank, lora_alpha=alpha), seed=seed)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero at first: an adapter that adds nothing proves nothing
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
        save_adapter(model, root / str(seed), SPEC)
        model.unload()
        folders.append(root / str(seed))
    return folders


def logits(backbone: Backbone, model: Any) -> torch.Tensor:
    from trainers.rows.feeds import DirectFeed
    from trainers.scoring.scorer import score_rows

    rows = make_rows("ct-lung-grading", seed=0, split="search", num=8)
    feed = DirectFeed(backbone.encoder, rows)
    outcomes = score_rows(model, backbone.encoder, feed, eval_set="x", split="search", batch_size=8, generate=False)
    return torch.tensor([outcome.log_probs for outcome in outcomes])


def with_adapter(backbone: Backbone, folder: Path) -> torch.Tensor:
    model = load_adapter(backbone, folder)
    try:
        return logits(backbone, model)
    finally:
        model.unload()


def added(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight: alpha / rank x B A."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    names = [name.removesuffix("lora_A.weight") for name in tensors if name.endswith("lora_A.weight")]
    scale = config["lora_alpha"] / config["r"]
    return {n: scale * tensors[n + "lora_B.weight"] @ tensors[n + "lora_A.weight"] for n in names}


def test_one_adapter_with_weight_one_is_that_adapter(backbone: Backbone, adapters: list[Path], tmp_path: Path) -> None:
    untouched = logits(backbone, backbone.model)
    for folder in adapters:
        alone = with_adapter(backbone, folder)
        assert (alone - untouched).abs().max() > 0.01  # there is something to lose
        merged = with_adapter(backbone, merge_adapters([folder], [1.0], tmp_path / folder.name))
        assert (merged - alone).abs().max() < IDENTITY_ERROR


def test_a_merge_is_the_weighted_sum(backbone: Backbone, adapters: list[Path], tmp_path: Path) -> None:
    weights = [0.5, 0.3, 0.2]
    merged = added(merge_adapters(adapters, weights, tmp_path / "merged"))
    parts = [added(folder) for folder in adapters]
    for name, total in merged.items():
        expected = sum((w * part[name] for w, part in zip(weights, parts, strict=True)), torch.zeros_like(total))
        assert (total - expected).abs().max() < IDENTITY_ERROR
    forward = with_adapter(backbone, tmp_path / "merged")
    backward = with_adapter(backbone, merge_adapters(adapters[::-1], weights[::-1], tmp_path / "turned"))
    assert (forward - backward).abs().max() < IDENTITY_ERROR


def test_averaging_a_and_b_apart_would_be_another_model(adapters: list[Path]) -> None:
    """The reason for an implementation of our own: the mean of products is not the product of means."""
    two = [load_file(adapters[k] / "adapter_model.safetensors") for k in (0, 1)]
    name = next(n for n in two[0] if n.endswith("lora_A.weight"))
    other = name.replace("lora_A", "lora_B")
    a, b = [t[name][:2] for t in two], [t[other][:, :2] for t in two]
    apart = (b[0] + b[1]) / 2 @ ((a[0] + a[1]) / 2)
    exact = (b[0] @ a[0] + b[1] @ a[1]) / 2
    assert (apart - exact).abs().max() > 0.01


@pytest.mark.parametrize(
    "change",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"lora_bias": True},
        {"bias": "all"},
        {"rank_pattern": {"q_proj": 2}},
        {"peft_type": "LOHA"},
        {"revision": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_has_no_exact_merge_is_refused(adapters: list[Path], tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    for file in adapters[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "adapter_config.json").read_text()) | change
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=next(iter(change))):
        merge_adapters([adapters[1], folder], [0.5, 0.5], tmp_path / "merged")


def test_missing_adapters_and_weights_are_named(adapters: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no adapter_config"):
        merge_adapters([adapters[0], tmp_path / "nothing"], [0.5, 0.5], tmp_path / "merged")
    with pytest.raises(UserError, match="2 adapters and 1 weights"):
        merge_adapters(adapters[:2], [1.0], tmp_path / "merged")
