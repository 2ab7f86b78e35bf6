"""Axolotl 0.19: JSON lines of messages with typed parts, a YAML of arguments.

Its traps (processing_strategies.py, utils/schemas/datasets.py): of a column `images` only the first image is used, so
each image is a part of the message, in its place; there are no weights of data sets, so the exact rows are written; a
vision model needs unprepared data, all columns and no packing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import Settings, common_arguments, wider_quantization, write_config

COMMAND = "axolotl train train.yaml"
ROWS_FILE = "train.jsonl"


def write_axolotl(folder: Path, selection: Selection, rows: Sequence[TrainingRow], settings: Settings) -> list[str]:
    """Write rows and configuration; returns what the reader must know."""
    with (folder / ROWS_FILE).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"messages": _messages(row)}, ensure_ascii=False) + "\n")
    recipe, is_quantised = selection.recipe, settings.quantization is not None
    arguments = common_arguments(selection, settings)
    arguments["micro_batch_size"] = arguments.pop("per_device_train_batch_size")
    arguments["lr_scheduler"] = arguments.pop("lr_scheduler_type")
    del arguments["report_to"]
    write_config(
        folder / "train.yaml",
        {
            "base_model": settings.model,
            "revision_of_model": settings.revision,  # its name for the commit
            "processor_type": "AutoProcessor",
            "processor_kwargs": {"size": dict(settings.image_size)} if settings.image_size else None,
            "skip_prepare_dataset": True,
            "remove_unused_columns": False,
            "sample_packing": False,
            "chat_template": "tokenizer_default",
            "datasets": [
                {
                    "path": ROWS_FILE,
                    "ds_type": "json",
                    "type": "chat_template",
                    "field_messages": "messages",
                    "split": "train",
                }
            ],
            "shuffle_merged_datasets": False,
            "curriculum_sampling": True,  # its name for rows in their order
            "train_on_inputs": False,
            "adapter": "qlora" if is_quantised else "lora",
            "load_in_4bit": is_quantised or None,  # by NF4, its only kind
            "lora_r": recipe.lora_rank,
            "lora_alpha": int(recipe.lora_alpha) if float(recipe.lora_alpha).is_integer() else recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "lora_target_modules": settings.target_modules,
            "optimizer": "adamw_torch",
            "bf16": settings.dtype == "bfloat16",
            "sequence_len": settings.max_tokens,
            **arguments,
        },
        notes=[f"Run in this folder: {COMMAND}"],
    )
    return wider_quantization(settings, "Axolotl")


def _messages(row: TrainingRow) -> list[dict[str, object]]:
    parts: list[dict[str, str]] = [{"type": "image", "path": path} for path in row.images]
    return [
        {"role": "user", "content": [*parts, {"type": "text", "text": row.prompt}]},
        {"role": "assistant", "content": [{"type": "text", "text": row.answer}]},
    ]
