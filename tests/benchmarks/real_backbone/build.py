"""One Hugging Face folder out of both parts: a LLaVA whose projector is new and random, from a fixed seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.real_backbone.parts import PATCH_PX, fetch_parts, language_model, vision_tower

SIDE_PX = 98  # 49 image tokens: what a step costs is then still the language model's matter
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_backbone(folder: Path) -> Path:
    """Return the model's folder, made anew where it is not there (some minutes; 0.6 GB).

    Args:
        folder: where parts and model are kept.
    """
    model = folder / "model"
    if not (model / "model.safetensors").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        graph, quantised = fetch_parts(folder)
        tower = vision_tower(graph)
        _compose(tower, *language_model(quantised), model)
    return model


def _compose(tower: Any, language: Any, tokenizer: Any, folder: Path) -> None:
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    language.config._name_or_path = ""
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(
        vision_config=tower.config, text_config=language.config, image_token_index=image_token,
        vision_feature_layer=-1, vision_feature_select_strategy="default", image_seq_length=(SIDE_PX // PATCH_PX) ** 2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    language.resize_token_embeddings(len(tokenizer))
    model.resize_token_embeddings(len(tokenizer))
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.lm_head.load_state_dict(language.lm_head.state_dict())
    model.config.image_token_index = image_token
    images = BitImageProcessorPil(
        do_resize=True, size={"height": SIDE_PX, "width": SIDE_PX}, do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], do_convert_rgb=True,
    )  # fmt: skip
    processor = LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=PATCH_PX, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT_TEMPLATE, image_token="<image>",
    )  # fmt: skip
    processor.save_pretrained(folder)
    model.save_pretrained(folder, safe_serialization=True)  # last: the folder is whole when the weights are there
