"""The study's recipe in the words that most trainers share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from search.handover.selection import Selection

# Where the backbone lies in the folder, when it is one that no hub has.
BASE_DIR = "base"
OUTPUT_DIR = "out"
ADAPTER_DIR = "adapter"
NO_LIMIT: Final = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A fine-tune on one device.

    Attributes:
        model: hub id, absolute folder, or `base` in the folder itself.
        revision: commit of a hub model.
        micro_batch: samples a forward pass.
        accumulation: forward passes a step; times `micro_batch` it is the study's batch.
        warmup_steps: of the steps.
        dtype: of the weights that are loaded.
    """

    model: str
    revision: str | None
    micro_batch: int
    accumulation: int
    warmup_steps: int
    dtype: str


def settings_of(selection: Selection) -> Settings:
    """What a trainer needs beside the recipe's own numbers."""
    recipe, backbone = selection.recipe, selection.backbone
    micro = math.gcd(recipe.batch_size, recipe.micro_batch_size or 1)
    return Settings(
        model=f"./{BASE_DIR}" if backbone.is_shipped else backbone.model,
        revision=backbone.revision,
        micro_batch=micro,
        accumulation=recipe.batch_size // micro,
        warmup_steps=math.ceil(recipe.warmup_fraction * recipe.num_steps),
        dtype="float32" if backbone.is_shipped else backbone.dtype if backbone.dtype != "auto" else "bfloat16",
    )


def common_arguments(selection: Selection) -> dict[str, Any]:
    """Arguments that transformers' `TrainingArguments` takes, as most trainers pass them on; rows stay in order."""
    recipe, settings = selection.recipe, settings_of(selection)
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


def write_config(path: Path, settings: dict[str, Any], *, notes: list[str]) -> None:
    """Write a configuration as YAML, with what a reader should know above it; settings that are None are left out.

    What is `NO_LIMIT` is written as null, because the trainer has a limit of its own.
    """
    known = {name: None if value is NO_LIMIT else value for name, value in settings.items() if value is not None}
    text = "".join(f"# {note}\n" for note in notes) + yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
