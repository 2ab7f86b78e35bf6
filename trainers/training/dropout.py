"""Dropout that is worked out from where a number stands, and not drawn one number after the other.

A number of an adapter's input is dropped by a hash of the fine-tune's seed, the step, the layer, the sample's place in
its batch, the token and the unit. So a fine-tune is the same however its batches are cut into micro-batches or
workers, whoever is packed beside it, and when activations are computed a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainers.backbone.adapters import image_layers, lora_layers

# The mixer `lowbias32` of Wellons' search for integer hashes (github.com/skeeto/hash-prospector).
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B
_BITS = 2**32 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """Where the samples of a micro-batch stand.

    Attributes:
        step: steps made before.
        samples: place of each sample in the whole batch.
        num_tokens: padded tokens of each.
        image_tokens: of each sample; what a layer before the language model has rows of.
    """

    step: int
    samples: Sequence[int]
    num_tokens: int
    image_tokens: Sequence[int]

    def rows(self, num_rows: int, *, is_of_images: bool) -> tuple[list[int], list[int]]:
        """Return the sample's place and the token's number of every row of a layer's input."""
        if not is_of_images and num_rows == len(self.samples) * self.num_tokens:
            counts = [self.num_tokens] * len(self.samples)
        elif sum(self.image_tokens) == num_rows:
            counts = list(self.image_tokens)
        else:  # rows without an owner: a projector that joins the images of several samples
            return [0] * num_rows, list(range(num_rows))
        samples = [place for place, count in zip(self.samples, counts, strict=True) for _ in range(count)]
        return samples, [token for count in counts for token in range(count)]


def dropped(
    x: torch.Tensor, micro_batch: MicroBatch, *, rate: float, seed: int, layer: int, is_of_images: bool
) -> torch.Tensor:
    """Return the input with its dropped numbers at zero and the others raised.

    Args:
        x: [rows, width], of one fine-tune's samples in their order.
        micro_batch: where they stand.
        rate: share that is dropped.
        seed: of the fine-tune.
        layer: number of the layer among the adapted ones.
        is_of_images: the layer takes image tokens alone.
    """
    samples, tokens = micro_batch.rows(len(x), is_of_images=is_of_images)
    start = 0
    for part in (seed, micro_batch.step, layer):
        start = _mixed(start ^ (part & _BITS))
    rows = _mixed_all(_mixed_all(_words(samples) ^ _signed(start)) ^ _words(tokens)).to(x.device)
    units = _mixed_all(torch.arange(x.shape[1], dtype=torch.int32, device=x.device))
    words = _mixed_all(rows[:, None] ^ units[None, :])  # [rows, width], each of 2^32 values equally often
    kept = words >= round(rate * 2**32) - 2**31
    return x * kept.to(x.dtype).div_(1.0 - rate)


class PlacedDropout(nn.Module):
    """`torch.nn.Dropout` by place, in an adapter of PEFT.

    Args:
        holder: says where the samples of the running micro-batch stand.
        rate: share that is dropped.
        seed: of the fine-tune.
        layer: number of the layer among the adapted ones.
        is_of_images: the layer takes image tokens alone.
    """

    def __init__(self, holder: BatchHolder, *, rate: float, seed: int, layer: int, is_of_images: bool) -> None:
        super().__init__()
        self._holder = holder
        self._options: dict[str, Any] = {"rate": rate, "seed": seed, "layer": layer, "is_of_images": is_of_images}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop numbers in training only."""
        if not self.training or self._holder.micro_batch is None:
            return x
        flat = x.reshape(-1, x.shape[-1])
        return dropped(flat, self._holder.micro_batch, **self._options).view(x.shape)


@dataclass(slots=True)
class BatchHolder:
    """The micro-batch that runs."""

    micro_batch: MicroBatch | None = None


def place_dropout(model: Any, *, rate: float, seed: int) -> BatchHolder:
    """Let an adapter of PEFT drop by place; return what is to be told of every micro-batch.

    Args:
        model: PEFT model, or its DistributedDataParallel wrapper.
        rate: share that is dropped; with 0 nothing is changed.
        seed: of the fine-tune.
    """
    holder = BatchHolder()
    peft_model = model.module if hasattr(model, "module") else model
    layers = list(lora_layers(peft_model)) if rate else []
    of_images = image_layers(peft_model.get_base_model(), [name for name, _ in layers]) if layers else frozenset()
    for number, (name, layer) in enumerate(layers):
        layer.lora_dropout["default"] = PlacedDropout(
            holder, rate=rate, seed=seed, layer=number, is_of_images=name in of_images
        )
    return holder


def micro_batch_of(model: Any, inputs: Mapping[str, Any], samples: Sequence[int], *, step: int) -> MicroBatch:
    """Return where the samples of a forward pass stand.

    Args:
        model: PEFT model, or its DistributedDataParallel wrapper.
        inputs: of the forward pass.
        samples: place of each sample in the whole batch.
        step: steps made before.
    """
    peft_model = model.module if hasattr(model, "module") else model
    is_image = inputs["input_ids"] == peft_model.get_base_model().config.image_token_id  # [batch, tokens]
    counts: list[int] = is_image.sum(dim=1).tolist()
    return MicroBatch(step=step, samples=samples, num_tokens=is_image.shape[1], image_tokens=counts)


def _mixed(word: int) -> int:
    word ^= word >> 16
    word = (word * _FIRST) & _BITS
    word ^= word >> 15
    word = (word * _SECOND) & _BITS
    return word ^ (word >> 16)


def _mixed_all(words: torch.Tensor) -> torch.Tensor:
    """`_mixed` of int32 numbers, whose products wrap around."""
    words = words ^ ((words >> 16) & 0xFFFF)
    words = words * _signed(_FIRST)
    words ^= (words >> 15) & 0x1FFFF
    words *= _signed(_SECOND)
    return words.bitwise_xor_((words >> 16) & 0xFFFF)


def _words(numbers: Sequence[int]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int32)


def _signed(word: int) -> int:
    """The number in two's complement of 32 bits."""
    return word - 2**32 if word >= 2**31 else word
