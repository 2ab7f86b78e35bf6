"""Trains the selection with transformers, peft and datasets alone: python train.py (recipe.json holds the numbers)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig, Trainer, TrainingArguments

HERE = Path(__file__).resolve().parent


class Collator:
    """Turns rows into inputs by the backbone's own processor; only answers count in the loss."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.processor.tokenizer.padding_side = "right"
        image_token = getattr(processor, "image_token", None)
        self.image_id = processor.tokenizer.convert_tokens_to_ids(image_token) if image_token else None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """The batch of some rows: tokens and pixels, and labels that are -100 everywhere but in answers."""
        images = [[image.convert("RGB") for image in row["images"]] for row in rows]
        prompts = [self.processor.apply_chat_template(_turns(row), add_generation_prompt=True) for row in rows]
        asked = self.processor(text=prompts, images=images, padding=True, return_tensors="pt")
        end = self.processor.tokenizer.eos_token or ""
        texts = [
            prompt + row["completion"][0]["content"][0]["text"] + end for prompt, row in zip(prompts, rows, strict=True)
        ]
        batch: dict[str, torch.Tensor] = dict(
            self.processor(text=texts, images=images, padding=True, return_tensors="pt")
        )
        labels = batch["input_ids"].clone()
        labels[batch["attention_mask"] == 0] = -100
        for place, length in enumerate(asked["attention_mask"].sum(dim=1).tolist()):
            labels[place, :length] = -100
        if self.image_id is not None and any(images) and not (batch["input_ids"] == self.image_id).any():
            raise RuntimeError("no image token in a batch with images: they would not reach the model")
        return batch | {"labels": labels}


def _turns(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The question, without the empty text that a table gives to an image's part."""
    return [
        {
            "role": turn["role"],
            "content": [{k: v for k, v in part.items() if v is not None} for part in turn["content"]],
        }
        for turn in row["prompt"]
    ]


def main(max_steps: int | None = None) -> Trainer:
    """Train, and save the adapter to `out`."""
    recipe = json.loads((HERE / "recipe.json").read_text(encoding="utf-8"))
    model_name = recipe["model"] if not recipe["model"].startswith("./") else str(HERE / recipe["model"])
    where = {"revision": recipe["revision"]} if recipe["revision"] else {}
    more = {"quantization_config": BitsAndBytesConfig(**recipe["quantization"])} if recipe["quantization"] else {}
    model = AutoModelForImageTextToText.from_pretrained(model_name, dtype=recipe["dtype"], **where, **more)
    processor = AutoProcessor.from_pretrained(model_name, **where)
    if recipe["image_size"]:
        processor.image_processor.size = recipe["image_size"]
    model = get_peft_model(model, LoraConfig(**recipe["lora"]))
    arguments = recipe["training"] | {"output_dir": str(HERE / recipe["training"]["output_dir"])}
    if max_steps is not None:
        arguments["max_steps"] = max_steps
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**arguments, remove_unused_columns=False, train_sampling_strategy="sequential"),
        train_dataset=load_dataset(str(HERE / "data"), split="train"),
        data_collator=Collator(processor),
    )
    trainer.train()
    trainer.save_model()
    return trainer


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
