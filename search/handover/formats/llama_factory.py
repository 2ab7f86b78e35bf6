"""LLaMA-Factory 0.9.5: `dataset_info.json`, one file of rows, a YAML of arguments.

Its traps (data/parser.py, loader.py, converter.py): `num_samples` draws rows with repetition, so the exact rows are
written and it is not used; a turn whose role is not expected there drops the row with a warning only; a missing
image is a warning only, so `media_dir` is given; `cutoff_len` cuts image tokens off; images are scaled to limits of its
own (hparams/model_args.py: at most 768 x 768 pixels) before the processor's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import Settings, common_arguments, untold_size, wider_quantization, write_config

COMMAND = "llamafactory-cli train train.yaml"
UNKNOWN_TEMPLATE = "FILL_IN"
# More than any image has: the processor alone scales.
_ANY_PIXELS = (1, 10**9)
# Names of chat templates in LLaMA-Factory, by what hub ids contain; the first that fits.
TEMPLATES = {
    "qwen3-vl": "qwen3_vl_nothink",
    "qwen2.5-vl": "qwen2_vl",
    "qwen2-vl": "qwen2_vl",
    "internvl": "intern_vl",
    "medgemma": "gemma3",
    "gemma-3": "gemma3",
    "paligemma": "paligemma",
    "llava-v1.6-mistral": "llava_next_mistral",
    "llava-v1.6-vicuna": "llava_next",
    "llava-1.5": "llava",
}


def write_llama_factory(
    folder: Path, selection: Selection, rows: Sequence[TrainingRow], settings: Settings
) -> list[str]:
    """Write rows and configuration; returns what the reader must know."""
    (folder / "data").mkdir()
    records = [
        {
            "messages": [
                {"role": "user", "content": "<image>" * len(row.images) + row.prompt},
                {"role": "assistant", "content": row.answer},
            ],
            "images": list(row.images),
        }
        for row in rows
    ]
    text = "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]\n"
    (folder / "data" / "train.json").write_text(text, encoding="utf-8")
    described = {
        "file_name": "train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }
    info = json.dumps({"selection": described}, indent=1) + "\n"
    (folder / "data" / "dataset_info.json").write_text(info, encoding="utf-8")
    template = template_of(selection.backbone.model)
    write_config(folder / "train.yaml", _arguments(selection, settings, template), notes=[f"Run: {COMMAND}"])
    told = wider_quantization(settings, "LLaMA-Factory")
    told += [] if settings.pixels else untold_size(settings, "LLaMA-Factory")
    if template == UNKNOWN_TEMPLATE:
        told.append(
            f"`template` in train.yaml must be filled in: it is the chat template of {selection.backbone.model}."
        )
    return told


def template_of(model: str) -> str:
    """The chat template of a hub model, or a word that must be replaced."""
    return next((name for part, name in TEMPLATES.items() if part in model.lower()), UNKNOWN_TEMPLATE)


def _arguments(selection: Selection, settings: Settings, template: str) -> dict[str, object]:
    recipe, is_quantised = selection.recipe, settings.quantization is not None
    least, most = settings.pixels or _ANY_PIXELS
    return {
        "model_name_or_path": settings.model,
        "model_revision": settings.revision,
        "template": template,
        "image_max_pixels": most,
        "image_min_pixels": least,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": recipe.lora_rank,
        "lora_alpha": int(recipe.lora_alpha) if float(recipe.lora_alpha).is_integer() else recipe.lora_alpha,
        "lora_dropout": recipe.lora_dropout,
        "lora_target": ",".join(settings.target_names),
        "quantization_bit": 4 if is_quantised else None,
        "quantization_type": settings.quantization,
        "double_quantization": is_quantised or None,
        "freeze_vision_tower": True,
        "freeze_multi_modal_projector": recipe.lora_modules != "language+projector",
        "dataset": "selection",
        "dataset_dir": "data",
        "media_dir": ".",
        "cutoff_len": settings.max_tokens,
        "disable_shuffling": True,
        "bf16": settings.dtype == "bfloat16",
        **common_arguments(selection, settings),
    }
