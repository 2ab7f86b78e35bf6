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
from search.handover.settings import Settings, common_arguments, untold_size, write_config

COMMAND = "swift sft train.yaml"
ROWS_FILE = "train.jsonl"


def write_ms_swift(folder: Path, selection: Selection, rows: Sequence[TrainingRow], settings: Settings) -> list[str]:
    """Write rows and configuration; returns what the reader must know."""
    with (folder / ROWS_FILE).open("w", encoding="utf-8") as file:
        for row in rows:
            messages = [
                {"role": "user", "content": "<image>" * len(row.images) + row.prompt},
                {"role": "assistant", "content": row.answer},
            ]
            file.write(json.dumps({"messages": messages, "images": list(row.images)}, ensure_ascii=False) + "\n")
    recipe, is_quantised = selection.recipe, settings.quantization is not None
    write_config(
        folder / "train.yaml",
        {
            "ENV": {"ROOT_IMAGE_DIR": "."},
            "model": settings.model,
            "model_revision": settings.revision,
            "use_hf": True,
            "torch_dtype": settings.dtype,
            "max_pixels": settings.pixels[1] if settings.pixels else None,
            "tuner_type": "lora",
            "lora_rank": recipe.lora_rank,
            "lora_alpha": recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "target_regex": settings.target_modules,
            "quant_method": "bnb" if is_quantised else None,
            "quant_bits": 4 if is_quantised else None,
            "bnb_4bit_quant_type": settings.quantization,
            "bnb_4bit_use_double_quant": is_quantised or None,
            "freeze_vit": True,
            "freeze_aligner": recipe.lora_modules != "language+projector",
            "dataset": [ROWS_FILE],
            "split_dataset_ratio": 0,
            "strict": True,
            "dataset_shuffle": False,
            "train_dataloader_shuffle": False,
            **common_arguments(selection, settings),
        },
        notes=[f"Run in this folder: {COMMAND}"],
    )
    if settings.pixels is None:
        return untold_size(settings, "ms-swift")
    if selection.backbone.min_pixels is None:
        return []
    return [
        f"ms-swift has no setting that scales images up to {settings.pixels[0]} pixels, as the study does; some "
        "families take it from MIN_PIXELS in the environment."
    ]
