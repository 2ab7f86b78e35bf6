"""Tiny vision-language models of three families, built from configs with random weights, and rows to feed them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from trainers.backbone.backbone import Backbone, assemble_backbone
from trainers.backbone_spec import BackboneSpec

SPEC = BackboneSpec(model="tiny").resolved(gpus_per_worker=0)
# A wide initialisation, because the frozen output layer of a random model could otherwise not prefer any token.
_TEXT = {
    "initializer_range": 0.3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(eos: str, pad: str, extra: list[str], merges: list[tuple[str, str]] | None = None) -> Any:
    """A byte-level tokenizer: every character is a token but for a few merges, so no training text is needed."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for pair in merges or []:
        vocabulary["".join(pair)] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges or []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=eos, pad_token=pad, additional_special_tokens=extra
    )


def _llava() -> tuple[Any, Any]:
    from trainers.phantom.architecture import build_processor, new_model

    return new_model(0), build_processor()


def _qwen2_vl() -> tuple[Any, Any]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    class ImagesOnly(Qwen2VLProcessor):  # type: ignore[misc]
        """Qwen's own processor without its video half, which needs torchvision (it has no CPU build here)."""

        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return None if name == "video_processor" else super().check_argument_for_proper_class(name, argument)

    extra = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = byte_tokenizer("<|im_end|>", "<|endoftext|>", extra)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in extra}
    images = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, min_pixels=28 * 28, max_pixels=56 * 56)
    template = _CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = ImagesOnly(image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=template)
    config = Qwen2VLConfig(
        text_config={
            **_TEXT,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 1024,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 4,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    return Qwen2VLForConditionalGeneration(config), processor


def _idefics3(template: str = _CHATML.replace("IMAGE", "<image>"), letters: str = "") -> tuple[Any, Any]:
    """The family of SmolVLM; `letters` are one token with a space before them."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = byte_tokenizer(
        "<end_of_utterance>",
        "<pad>",
        ["<|im_start|>", "<|im_end|>", "<image>", "<fake_token_around_image>", "<global-img>"],
        [("\u0120", letter) for letter in letters],
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = Idefics3Processor(image_processor=images, tokenizer=tokenizer, image_seq_len=4, chat_template=template)
    config = Idefics3Config(
        text_config={
            **_TEXT,
            "model_type": "llama",
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 1024,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 32, "patch_size": 8,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Idefics3ForConditionalGeneration(config), processor


# SmolVLM's own, in which the answer stands behind `Assistant:` and a space.
_SMOLVLM = (
    "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}{% if m['content'][0]['type'] == 'image' %}:"
    "{% else %}: {% endif %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def smolvlm_backbone() -> Backbone:
    """A tiny backbone with SmolVLM's template, and with ` A` to ` Z` as tokens."""
    torch.manual_seed(0)
    model, processor = _idefics3(_SMOLVLM, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return assemble_backbone(model, processor, SPEC)


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {"llava": _llava, "qwen2_vl": _qwen2_vl, "idefics3": _idefics3}


def tiny_backbone(family: str) -> Backbone:
    """A fresh tiny backbone with weights that depend on the family only."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    return assemble_backbone(model, processor, SPEC)


@cache
def _png(seed: int, height_px: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height_px, 56, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def toy_row(index: int, *, num_images: int = 1, is_open: bool = False, height_px: int = 56) -> dict[str, Any]:
    """A stored row; the right answer is always `yes`, so that a few steps learn it."""
    options = [] if is_open else (["yes", "no"] if index % 2 else ["no", "yes"])
    return {
        "sample_id": f"toy/file#{index}",
        "subset": "toy",
        "split": "train",
        "order": index,
        "question": "is a lesion visible in the image ?",
        "options": options,
        "answer": "yes",
        "answer_index": -1 if is_open else options.index("yes"),
        "answer_kind": "open" if is_open else "closed",
        "images": [_png(100 * index + i, height_px) for i in range(num_images)],
        "row_hash": str(index),
    }


def toy_rows(num_rows: int, *, num_images: int = 1) -> pa.Table:
    """A table of toy rows."""
    return pa.Table.from_pylist([toy_row(i, num_images=num_images) for i in range(num_rows)])
