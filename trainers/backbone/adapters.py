"""LoRA adapters on a backbone: where, fresh, loaded, saved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets_spec.errors import UserError
from trainers.backbone.backbone import Backbone
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

# Names that transformers' model families give the part between vision tower and language model.
PROJECTOR_NAMES = ("multi_modal_projector", "connector", "merger", "aligner", "mm_projector")
# The block whose linear layers are an attention's: `self_attn.q_proj`, `attention.query_key_value`.
_ATTENTION = re.compile(r"(?:attn|attention)[^.]*\.")


def adapter_pattern(model: nn.Module, modules: str) -> str:
    """Return a regular expression that matches the linear layers to adapt, for PEFT's `target_modules`.

    Shorthands such as `all-linear` or `q_proj` also hit the vision tower in most families; this pattern is built
    from the module tree and never does.

    Args:
        model: the backbone.
        modules: `attention`, `language` or `language+projector` (`Recipe.lora_modules`).

    Raises:
        UserError: no linear layer of a language model was found.
    """
    names = {id(module): name for name, module in model.named_modules()}
    language = names[id(model.get_decoder())]  # type: ignore[operator]
    vision = names.get(id(model.get_encoder(modality="image")), "")  # type: ignore[operator]
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    chosen = [name for name in linear if language and name.startswith(f"{language}.")]
    if modules == "attention":
        chosen = [name for name in chosen if _ATTENTION.search(name)]
    if not chosen:
        hint = "try `recipe.lora_modules: language`" if modules == "attention" else None
        raise UserError(f"no linear layers for '{modules}' in the language model of {type(model).__name__}", hint=hint)
    if modules == "language+projector":
        chosen += [name for name in linear if any(part in PROJECTOR_NAMES for part in name.split("."))]
    projector = [n for n in chosen if not n.startswith(f"{language}.")]
    if any(
        vision and n.startswith(f"{vision}.") and not any(p in PROJECTOR_NAMES for p in n.split(".")) for n in chosen
    ):
        raise UserError(f"the adapter pattern would touch the vision tower '{vision}'")
    leaves = sorted({name.rsplit(".", 1)[-1] for name in chosen if name.startswith(f"{language}.")})
    inside = rf"{_ATTENTION.pattern}(?:.*\.)?" if modules == "attention" else r"\."
    pattern = rf"{re.escape(language)}\..*{inside}({'|'.join(map(re.escape, leaves))})"
    if projector:
        pattern += "|" + "|".join(re.escape(name) for name in sorted(projector))
    return pattern


def image_layers(model: nn.Module, layers: Iterable[str]) -> frozenset[str]:
    """Return those of some layers that stand before the language model, and so take image tokens alone."""
    names = {id(module): name for name, module in model.named_modules()}
    language = names[id(model.get_decoder())]  # type: ignore[operator]
    return frozenset(name for name in layers if not name.startswith(f"{language}."))


def lora_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the adapted layers of a PEFT model under the backbone's own names, in its order."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            yield name.removeprefix("base_model.model."), module


def add_adapter(backbone: Backbone, recipe: Recipe, *, seed: int) -> Any:
    """Wrap the backbone in a fresh LoRA adapter (PEFT) whose first values depend on the seed only."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type, unused-ignore]
        lora_dropout=recipe.lora_dropout,
        target_modules=adapter_pattern(backbone.model, recipe.lora_modules),
        bias="none",
    )
    torch.manual_seed(seed)
    return _in_compute_type(get_peft_model(backbone.model, config), backbone.dtype)


def load_adapter(backbone: Backbone, folder: Path) -> Any:
    """Put a saved adapter on the backbone for scoring; safetensors only.

    Raises:
        UserError: the folder holds no `adapter_model.safetensors` (pickled adapters are refused).
    """
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(f"{folder} holds no adapter_model.safetensors", hint="pickled adapters are never loaded")
    return _in_compute_type(PeftModel.from_pretrained(backbone.model, str(folder)), backbone.dtype).eval()


def save_adapter(model: Any, folder: Path, spec: BackboneSpec) -> None:
    """Save the adapter so that it loads elsewhere: hub id and revision instead of this machine's paths."""
    model.save_pretrained(str(folder), safe_serialization=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = spec.model
    config["revision"] = spec.revision
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


class MasterLinear(nn.Module):
    """A linear layer whose weight is kept in float32 and multiplied in the type of its input.

    PEFT (0.21) raises the input to float32 instead: another copy of it is then kept for every adapted layer, twice as
    large as what the backbone itself keeps, and the product takes the slow way through the device.

    Args:
        weight: [out, in], float32.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out], in the type of the input; the gradient of the weight is float32."""
        return nn.functional.linear(x, self.weight.to(x.dtype))


def _in_compute_type(model: Any, dtype: torch.dtype) -> Any:
    """Let adapters multiply in the backbone's type; in float32 nothing changes."""
    for _, layer in lora_layers(model) if dtype != torch.float32 else ():
        layer.cast_input_dtype_enabled = False
        for matrices in (layer.lora_A, layer.lora_B):
            for name, matrix in list(matrices.items()):
                matrices[name] = MasterLinear(matrix.weight)
    return model
