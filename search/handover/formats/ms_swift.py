"""ms-swift 4.6: JSON lines with `<image>` marks, a YAML of arguments.

Its traps (dataset/dataset_syntax.py, arguments/base_args/data_args.py): `#N` behind a data set repeats or draws rows,
so the exact rows are written and it is not used; rows are shuffled twice unless both switches say no; bad rows are
dropped unless `strict`; image paths start from ROOT_IMAGE_DIR.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import common_arguments, settings_of, write_config

COMMAND = "swift sft train.yaml"
ROWS_FILE = "train.jsonl"


def write_ms_swift(folder: Path, selection: Selection, rows: Sequence[TrainingRow]) -> list[str]:
    """Write rows and configuration; returns what the reader must know."""
    with (folder / ROWS_FILE).open("w", encoding="utf-8") as file:
        for row in rows:
            messages = [
                {"role": "user", "content": "<image>" * len(row.images) + row.prompt},
                {"role": "assistant", "content": row.answer},
            ]
            file.write(json.dumps({"messages": messages, "images": list(row.images)}, ensure_ascii=False) + "\n")
    recipe, settings = selection.recipe, settings_of(selection)
    write_config(
        folder / "train.yaml",
        {
            "ENV": {"ROOT_IMAGE_DIR": "."},
            "model": settings.model,
            "model_revision": settings.revision,
            "use_hf": True,
            "torch_dtype": settings.dtype,
            "max_pixels": selection.backbone.max_pixels,
            "tuner_type": "lora",
            "lora_rank": recipe.lora_rank,
            "lora_alpha": recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "target_regex": selection.target_modules,
            "freeze_vit": True,
            "freeze_aligner": recipe.lora_modules != "language+projector",
            "dataset": [ROWS_FILE],
            "split_dataset_ratio": 0,
            "strict": True,
            "dataset_shuffle": False,
            "train_dataloader_shuffle": False,
            **common_arguments(selection),
        },
        notes=[f"Run in this folder: {COMMAND}"],
    )
    return []
