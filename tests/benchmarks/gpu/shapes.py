"""Models of real shapes with random weights, and samples for them: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import Example
from trainers.rows.encoded_samples import EncodedSample

TEXT_TOKENS = 128  # question and options
IMAGE_TOKEN = 5  # any number below 100, which the text here does not use


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's shape and one sample's.

    Attributes:
        make_config: returns the configuration.
        image_tokens: of a sample's image.
        image_tensors: shapes of what its processor makes of the image.
    """

    make_config: Callable[[], Any]
    image_tokens: int
    image_tensors: Mapping[str, tuple[int, ...]]

    @property
    def num_tokens(self) -> int:
        """Of a sample, with a letter and the end mark."""
        return self.image_tokens + TEXT_TOKENS + 2


def _qwen(text: dict[str, Any], vision: dict[str, Any]) -> Any:
    from transformers import Qwen2_5_VLConfig

    rope = {"rope_type": "default", "mrope_section": [n * text["head_dim"] // 128 for n in (16, 24, 24)]}
    text = {**text, "rope_parameters": rope | {"rope_theta": 1e6}, "tie_word_embeddings": True}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, image_token_id=IMAGE_TOKEN, video_token_id=6)
    config.vision_start_token_id = 7
    return config


def _smolvlm(text: dict[str, Any], vision: dict[str, Any]) -> Any:
    from transformers import SmolVLMConfig

    text = {**text, "model_type": "llama", "pad_token_id": 2}
    return SmolVLMConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE_TOKEN, scale_factor=4, pad_token_id=2
    )


def _qwen_image(height: int, width: int) -> dict[str, tuple[int, ...]]:
    """A grid of patches of 14 x 14 pixels, twice in time."""
    return {"pixel_values": (height * width, 3 * 2 * 14 * 14), "image_grid_thw": (1, height, width)}


# The published shapes of Qwen2.5-VL-3B-Instruct and SmolVLM-256M-Instruct (their config.json): an image of 1 megapixel
# and one of 17 tiles.
REAL = {
    "qwen2.5-vl-3b": Shape(
        make_config=lambda: _qwen(
            {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
             "num_key_value_heads": 2, "vocab_size": 151936, "head_dim": 128},
            {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048},
        ),
        image_tokens=34 * 36,
        image_tensors=_qwen_image(68, 72),
    ),
    "smolvlm-256m": Shape(
        make_config=lambda: _smolvlm(
            {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3, "vocab_size": 49280},
            {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
             "image_size": 512, "patch_size": 16},
        ),
        image_tokens=17 * 64,
        image_tensors={"pixel_values": (1, 17, 3, 512, 512)},
    ),
}  # fmt: skip
TOY = {
    "toy-qwen": Shape(
        make_config=lambda: _qwen(
            {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "vocab_size": 256, "head_dim": 32},
            {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
             "fullatt_block_indexes": [1]},
        ),
        image_tokens=4,
        image_tensors=_qwen_image(4, 4),
    ),
    "toy-smolvlm": Shape(
        make_config=lambda: _smolvlm(
            {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "vocab_size": 256},
            {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
             "image_size": 64, "patch_size": 8},
        ),
        image_tokens=2 * 4,
        image_tensors={"pixel_values": (1, 2, 3, 64, 64)},
    ),
}  # fmt: skip


class _TokensOnly:
    """What batches of encoded samples need of a `BatchEncoder`."""

    image_token_id = IMAGE_TOKEN
    pad_id = 2

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    def check_length(self, length: int) -> None:
        """Nothing is too long here."""


def random_backbone(shape: Shape, device: torch.device, dtype: torch.dtype) -> Backbone:
    """A frozen model of a shape on a device."""
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    with device:
        model = AutoModelForImageTextToText.from_config(shape.make_config(), dtype=dtype)
    model = model.to(device).eval().requires_grad_(False)
    encoder: Any = _TokensOnly(device, dtype)
    return Backbone(model=model, processor=None, encoder=encoder, device=device, dtype=dtype)


def random_samples(backbone: Backbone, shape: Shape, num: int, *, with_features: bool) -> list[EncodedSample]:
    """Samples of one length; with vision features, or with what the tower takes."""
    generator = torch.Generator().manual_seed(0)
    hidden = backbone.model.config.get_text_config().hidden_size
    return [_random_sample(shape, hidden, backbone.dtype, generator, with_features=with_features) for _ in range(num)]


def _random_sample(
    shape: Shape, hidden: int, dtype: torch.dtype, generator: torch.Generator, *, with_features: bool
) -> EncodedSample:
    text = torch.randint(100, 200, (TEXT_TOKENS,), generator=generator)
    ids = torch.cat([torch.full((shape.image_tokens,), IMAGE_TOKEN), text])
    tensors: dict[str, torch.Tensor] = {}
    for name, size in shape.image_tensors.items():
        if name == "image_grid_thw":
            tensors[name] = torch.tensor([size])
        elif not with_features:
            tensors[name] = torch.randn(size, generator=generator).to(dtype)
    is_image = {"mm_token_type_ids": (ids == IMAGE_TOKEN).long()} if "image_grid_thw" in tensors else {}
    features = torch.randn((shape.image_tokens, hidden), generator=generator).to(dtype) if with_features else None
    example = Example(sample_id="s", subset="a", prompt="", options=("x", "y"), answer_index=0, answer="A", images=())
    return EncodedSample(
        example=example,
        prompt_ids=ids,
        answer_ids=torch.tensor([101, 3]),
        aligned=is_image,
        image_tensors=tensors,
        features=features,
    )
