"""TRL 1.16: a data set of `datasets` and a YAML for `trl sft`.

Its traps (trl/scripts/utils.py): `fraction` takes the first rows, unshuffled, so the rows are mixed already and it is
not used; a mixture is shuffled unless the sampler is sequential; a `max_length` of its own would cut image tokens off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.handover.formats.hugging_face import write_parquet
from search.handover.rows import TrainingRow
from search.handover.selection import Selection
from search.handover.settings import (
    NO_LIMIT,
    Settings,
    common_arguments,
    untold_size,
    wider_quantization,
    write_config,
)

COMMAND = "trl sft --config train.yaml"


def write_trl(folder: Path, selection: Selection, rows: Sequence[TrainingRow], settings: Settings) -> list[str]:
    """Write rows and configuration; returns what the reader must know."""
    write_parquet(folder, rows)
    recipe, is_quantised = selection.recipe, settings.quantization is not None
    write_config(
        folder / "train.yaml",
        {
            "model_name_or_path": settings.model,
            "model_revision": settings.revision,
            "dtype": settings.dtype,
            "use_peft": True,
            "lora_r": recipe.lora_rank,
            "lora_alpha": int(recipe.lora_alpha) if float(recipe.lora_alpha).is_integer() else recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "lora_target_modules": [settings.target_modules],
            "load_in_4bit": is_quantised or None,
            "bnb_4bit_quant_type": settings.quantization,
            "use_bnb_nested_quant": is_quantised or None,
            "datasets": [{"path": "./data"}],
            "dataset_train_split": "train",
            "max_length": NO_LIMIT,
            "train_sampling_strategy": "sequential",
            "gradient_checkpointing": settings.checkpoints_activations,
            "bf16": settings.dtype == "bfloat16",
            **common_arguments(selection, settings),
        },
        notes=[f"Run in this folder: {COMMAND}"],
    )
    return [*untold_size(settings, "TRL"), *wider_quantization(settings, "TRL")]
