"""The study's recipe and backbone in the words that most trainers share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from datasets_spec.errors import UserError
from search.handover.selection import Selection

if TYPE_CHECKING:
    from trainers.prompts.box_language import BoxLanguage

# Where the backbone lies in the folder, when it is one that no hub has.
BASE_DIR = "base"
OUTPUT_DIR = "out"
ADAPTER_DIR = "adapter"
NO_LIMIT: Final = object()
# Of a model that has no limit of its own: what LLaMA-Factory and Axolotl must be given, beyond any row.
_MANY_TOKENS = 131_072
_LEAVES = re.compile(r"\(([A-Za-z0-9_]+(?:\|[A-Za-z0-9_]+)*)\)(?:\||$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A fine-tune on one device.

    Attributes:
        model: hub id, absolute folder, or `base` in the folder itself.
        revision: commit of a hub model.
        micro_batch: samples a forward pass.
        accumulation: forward passes a step; times `micro_batch` it is the study's batch.
        warmup_steps: of the steps.
        dtype: of the weights that are loaded, as the study's workers had them.
        checkpoints_activations: whether the study asks to compute activations again.
        target_modules: the regular expression of the layers that get LoRA, as PEFT takes it.
        max_tokens: more than any row has, and what the model can take.
        image_size: `limited_size` of the backbone's processor.
        quantization: of the language model's frozen weights.
        kept_whole: parts of the model that are not quantised.
        boxes: how the backbone writes them.
    """

    model: str
    revision: str | None
    micro_batch: int
    accumulation: int
    warmup_steps: int
    dtype: str
    checkpoints_activations: bool
    target_modules: str
    max_tokens: int
    image_size: Mapping[str, int] | None
    quantization: str | None
    kept_whole: tuple[str, ...]
    boxes: BoxLanguage

    @property
    def target_names(self) -> list[str]:
        """The last names of the adapted layers of the language model, for trainers that take names."""
        found = _LEAVES.search(self.target_modules)
        return sorted(found[1].split("|")) if found else []

    @property
    def pixels(self) -> tuple[int, int] | None:
        """The least and the most pixels of an image; None in families that are told no such numbers."""
        size = self.image_size or {}
        return (size["shortest_edge"], size["longest_edge"]) if "shortest_edge" in size else None


def settings_of(selection: Selection) -> Settings:
    """What a trainer needs beside the recipe's own numbers.

    Raises:
        UserError: the backbone's configuration or processor cannot be read here.
    """
    from trainers.backbone.backbone import load_encoder
    from trainers.backbone.image_limits import limited_size

    recipe = selection.recipe
    backbone = selection.backbone.resolved(gpus_per_worker=selection.study.spec.execution.gpus_per_worker)
    encoder = load_encoder(backbone)
    micro = math.gcd(recipe.batch_size, recipe.micro_batch_size or 1)
    target_modules, kept_whole = _layers(selection)
    return Settings(
        model=f"./{BASE_DIR}" if backbone.is_shipped else backbone.model,
        revision=backbone.revision,
        micro_batch=micro,
        accumulation=recipe.batch_size // micro,
        warmup_steps=math.ceil(recipe.warmup_fraction * recipe.num_steps),
        dtype=backbone.dtype,
        checkpoints_activations=backbone.activation_checkpointing is True,
        target_modules=target_modules,
        max_tokens=encoder.max_tokens or _MANY_TOKENS,
        image_size=limited_size(encoder.processor, max_pixels=backbone.max_pixels),
        quantization=backbone.quantization,
        kept_whole=kept_whole,
        boxes=encoder.boxes,
    )


def _layers(selection: Selection) -> tuple[str, tuple[str, ...]]:
    """The pattern of the layers that get LoRA, and the parts that are not quantised."""
    kept = selection.target_modules
    if kept is not None and selection.backbone.quantization is None:
        return kept, ()
    from trainers.backbone.adapters import adapter_pattern
    from trainers.backbone.backbone import model_without_weights
    from trainers.backbone.quantization import outside_decoder

    backbone = selection.backbone.resolved(gpus_per_worker=0)
    try:
        model = model_without_weights(backbone)
    except (OSError, ImportError, ValueError) as error:
        raise UserError(
            f"which layers of '{backbone.model}' get LoRA cannot be told: its configuration cannot be read ({error})",
            hint="export where the model is, or keep adapters (`execution.keep_adapters`)",
        ) from error
    pattern = kept or adapter_pattern(model, selection.recipe.lora_modules)
    return pattern, tuple(outside_decoder(model)) if backbone.quantization else ()


def common_arguments(selection: Selection, settings: Settings) -> dict[str, Any]:
    """Arguments that transformers' `TrainingArguments` takes, as most trainers pass them on; rows stay in order."""
    recipe = selection.recipe
    return {
        "output_dir": OUTPUT_DIR,
        "max_steps": recipe.num_steps,
        "per_device_train_batch_size": settings.micro_batch,
        "gradient_accumulation_steps": settings.accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings.warmup_steps,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "seed": selection.seed,
        "logging_steps": 1,
        "report_to": "none",
    }


def untold_size(settings: Settings, trainer: str) -> list[str]:
    """The note on a trainer that cannot be told how large images reach the model; none where the study has no limit."""
    if settings.image_size is None:
        return []
    size = json.dumps(dict(settings.image_size))
    return [
        f"{trainer} cannot be told the study's limit of images and takes the backbone's own. To have the study's, copy "
        f"`{settings.model}` into a folder, set `size` of its image processor's configuration to `{size}`, and name "
        "the folder in train.yaml."
    ]


def wider_quantization(settings: Settings, trainer: str) -> list[str]:
    """The note on a trainer whose four bits are of all layers; none where the study has not quantised."""
    if settings.quantization is None:
        return []
    kept = ", ".join(settings.kept_whole)
    return [f"{trainer} quantises vision tower and projector, too; the study leaves {kept} as they are."]


def write_config(path: Path, settings: dict[str, Any], *, notes: list[str]) -> None:
    """Write a configuration as YAML, with what a reader should know above it; settings that are None are left out.

    What is `NO_LIMIT` is written as null, because the trainer has a limit of its own.
    """
    known = {name: None if value is NO_LIMIT else value for name, value in settings.items() if value is not None}
    text = "".join(f"# {note}\n" for note in notes) + yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
