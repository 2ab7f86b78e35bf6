"""transformers, peft and datasets without a trainer's program: the rows, the recipe, and one script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.handover.formats.hugging_face import write_parquet
from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import Settings, common_arguments

COMMAND = "python train.py"
SCRIPT = Path(__file__).with_name("standalone_training.py")


def write_hf(folder: Path, selection: Selection, rows: Sequence[TrainingRow], settings: Settings) -> list[str]:
    """Write rows, recipe and script; returns what the reader must know."""
    write_parquet(folder, rows)
    recipe = selection.recipe
    content = {
        "model": settings.model,
        "revision": settings.revision,
        "dtype": settings.dtype,
        "lora": {
            "r": recipe.lora_rank,
            "lora_alpha": recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "target_modules": settings.target_modules,
        },
        "quantization": _quantization(settings),
        "image_size": dict(settings.image_size) if settings.image_size else None,
        "training": common_arguments(selection, settings) | {"bf16": settings.dtype == "bfloat16"},
    }
    (folder / "recipe.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shutil.copy(SCRIPT, folder / "train.py")
    return []


def _quantization(settings: Settings) -> dict[str, Any] | None:
    """The study's own options (`trainers.backbone.quantization`), as `BitsAndBytesConfig` takes them."""
    if settings.quantization is None:
        return None
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": settings.quantization,
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": settings.dtype,
        "llm_int8_skip_modules": list(settings.kept_whole),
    }
