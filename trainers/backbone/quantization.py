"""The language model's frozen weights in four bits (NF4), as QLoRA has them (arXiv 2305.14314)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from datasets_spec.errors import UserError
from trainers.backbone_spec import BackboneSpec

# Of a weight: four bits, and the scale of every 64 in eight bits, whose own scales are one float32 every 256.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


def require_quantizer(spec: BackboneSpec) -> None:
    """Make sure that this machine can quantise what the backbone asks for.

    Raises:
        UserError: the package for it is not installed here.
    """
    if spec.quantization is not None and find_spec("bitsandbytes") is None:
        raise UserError(
            f"backbone.quantization: {spec.quantization} needs the package bitsandbytes, which is not installed",
            hint="pip install 'recombine[quantization]' on every node, or leave out `backbone.quantization`",
        )


def quantization_options(spec: BackboneSpec, model: Any) -> dict[str, Any]:
    """Return what `from_pretrained` is told besides.

    The vision tower, the projector and the output layer stay as they are: they are a small part of the weights, and
    kept vision features and letters' probabilities hang on them.

    Args:
        spec: the backbone, resolved.
        model: the same model without weights.
    """
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=spec.quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, spec.dtype),
        llm_int8_skip_modules=outside_decoder(model),
    )
    return {"quantization_config": config, "device_map": {"": spec.device}}


def weight_bytes(model: Any, quantization: str | None) -> float:
    """Return the bytes of a model's frozen weights.

    Args:
        model: not quantised; one without numbers will do.
        quantization: of the linear layers of its language model.
    """
    whole = float(sum(p.numel() * p.element_size() for p in model.parameters()))
    if quantization is None:
        return whole
    linear = {m.weight for m in model.get_decoder().modules() if isinstance(m, nn.Linear)}
    return whole - float(sum(w.numel() * (w.element_size() - NF4_BYTES) for w in linear))


def outside_decoder(model: Any) -> list[str]:
    """Return the largest parts of a model that hold nothing of its language model's layers, by name: they stay whole.

    Args:
        model: one without numbers will do.
    """
    decoder = model.get_decoder()
    (language,) = [name for name, module in model.named_modules() if module is decoder]
    path = [language.rsplit(".", i)[0] for i in range(language.count(".") + 1)]
    holders = ["", *path[1:]]
    return [
        name
        for holder in holders
        for child, module in model.get_submodule(holder).named_children()
        if (name := f"{holder}.{child}" if holder else child) not in path and module is not decoder
    ]
