"""Exact merges of LoRA adapters: the weighted sum of what each adds to the weights.

An adapter adds s B A to a weight (s = alpha / rank). The sum over adapters is one adapter again, whose A are stacked
and whose B, scaled, stand side by side: nothing is averaged or cut off, and the rank is the sum of ranks. PEFT's
`add_weighted_adapter(combination_type="linear")` averages A and B apart from each other, which is another model, and is
silently wrong for rank-stabilised and weight-decomposed LoRA (huggingface/peft#1155, #3761); such adapters are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.atomic import replace_file, replace_text
from datasets_spec.errors import UserError

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE: Final = "adapter_model.safetensors"
CONFIG_FILE: Final = "adapter_config.json"
# What makes an adapter more than s B A; empty or false in those that can be merged exactly.
_FORBIDDEN: Final = (
    "use_dora",
    "use_rslora",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
)


def merge_adapters(folders: Sequence[Path], weights: Sequence[float], merged: Path) -> Path:
    """Write the weighted sum of adapters as one adapter, which `load_adapter` loads as any other.

    Args:
        folders: saved adapters of one backbone, with the same adapted layers; ranks may differ.
        weights: one an adapter, e.g. its share of the samples; they need not sum to 1.
        merged: folder to write.

    Returns:
        `merged`.

    Raises:
        UserError: an adapter is missing, is no plain LoRA, or adapts other layers or another backbone.
    """
    from safetensors.torch import load_file, save_file

    if not folders or len(folders) != len(weights):
        raise UserError(f"{len(folders)} adapters and {len(weights)} weights", hint="give one weight an adapter")
    configs = [_plain_config(folder) for folder in folders]
    _check_same(folders, configs)
    tensors = [load_file(folder / WEIGHTS_FILE) for folder in folders]
    scales = [w * config["lora_alpha"] / config["r"] for w, config in zip(weights, configs, strict=True)]
    summed = merge_tensors(folders, tensors, scales)
    rank = sum(int(config["r"]) for config in configs)
    merged.mkdir(parents=True, exist_ok=True)
    replace_file(merged / WEIGHTS_FILE, lambda temporary: save_file(summed, temporary, metadata={"format": "pt"}))
    # alpha = rank: the scale is in B already.
    config = {**configs[0], "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "inference_mode": True}
    replace_text(merged / CONFIG_FILE, json.dumps(config, indent=2, sort_keys=True) + "\n")
    return merged


def merge_tensors(
    folders: Sequence[Path], tensors: Sequence[Mapping[str, torch.Tensor]], scales: Sequence[float]
) -> dict[str, torch.Tensor]:
    """Stack A [rank, in] and put scaled B [out, rank] side by side, layer by layer.

    Raises:
        UserError: an adapter holds other layers than the first, or something that is neither A nor B.
    """
    import torch

    names = sorted(tensors[0])
    for folder, held in zip(folders, tensors, strict=True):
        if sorted(held) != names:
            raise UserError(f"{folder} adapts other layers than {folders[0]}", hint="merge adapters of one recipe")
    found: dict[str, torch.Tensor] = {}
    for name in names:
        parts = [held[name].to(torch.float32) for held in tensors]  # bfloat16 sums would not be exact
        if name.endswith("lora_A.weight"):
            found[name] = torch.cat(parts, dim=0).contiguous()
        elif name.endswith("lora_B.weight"):
            scaled = [scale * part for scale, part in zip(scales, parts, strict=True)]
            found[name] = torch.cat(scaled, dim=1).contiguous()
        else:
            raise UserError(f"{folders[0]}: {name} is neither A nor B of a LoRA layer", hint="use plain LoRA")
    return found


def _plain_config(folder: Path) -> dict[str, Any]:
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / file).is_file():
            raise UserError(f"{folder} holds no {file}", hint="adapters are kept in trials/*/adapter of a study")
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    wrong = [name for name in _FORBIDDEN if config.get(name)]
    if config.get("peft_type") != "LORA":
        wrong.append(f"peft_type {config.get('peft_type')}")
    if config.get("bias", "none") != "none":
        wrong.append(f"bias {config['bias']}")
    if wrong:
        raise UserError(
            f"{folder}: {', '.join(wrong)}; only plain LoRA has an exact merge",
            hint="train the single sources with plain LoRA, or search without merges",
        )
    return config


def _check_same(folders: Sequence[Path], configs: Sequence[Mapping[str, Any]]) -> None:
    for name in ("base_model_name_or_path", "revision"):
        for folder, config in zip(folders, configs, strict=True):
            if config.get(name) != configs[0].get(name):
                raise UserError(
                    f"{folder}: {name} is {config.get(name)}, that of {folders[0]} is {configs[0].get(name)}",
                    hint="merge adapters of one backbone",
                )
