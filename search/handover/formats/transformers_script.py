"""transformers, peft and datasets without a trainer's program: the rows, the recipe, and one script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from search.handover.formats.hugging_face import write_parquet
from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import common_arguments, settings_of

COMMAND = "python train.py"
SCRIPT = Path(__file__).with_name("standalone_training.py")


def write_hf(folder: Path, selection: Selection, rows: Sequence[TrainingRow]) -> list[str]:
    """Write rows, recipe and script; returns what the reader must know."""
    write_parquet(folder, rows)
    recipe, settings = selection.recipe, settings_of(selection)
    content = {
        "model": settings.model,
        "revision": settings.revision,
        "dtype": settings.dtype,
        "lora": {
            "r": recipe.lora_rank,
            "lora_alpha": recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "target_modules": selection.target_modules or "all-linear",
        },
        "training": common_arguments(selection) | {"bf16": settings.dtype == "bfloat16"},
    }
    (folder / "recipe.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shutil.copy(SCRIPT, folder / "train.py")
    return []
