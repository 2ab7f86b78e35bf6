"""Samples as the model takes them, encoded once a study: token ids, and what the frozen vision tower sees.

Tokenising, image processing and the vision tower give the same answer in every trial that leaves the tower alone, so
their results are kept and shared. What is kept is checked against the direct path in every run
(`kept_features`).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from trainers.backbone.backbone import Backbone
from trainers.backbone.memory import free_memory, is_out_of_memory
from trainers.prompts.encoder import IGNORED, BatchEncoder, Example
from trainers.rows.kept_features import FeaturesNotKeptError

# Image tokens of one pass of the vision tower: enough to fill a GPU, and few enough that a pass takes less memory than
# a step of training. Families that merge 2 x 2 patches into a token see four times as many patches.
TOWER_TOKENS = 4096
PIXEL_TENSORS = ("pixel_values", "pixel_attention_mask")  # what vision features stand for


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedSample:
    """One sample, ready to be joined with others into a batch.

    Attributes:
        example: the question without its images.
        prompt_ids: int64 [tokens], the image placeholders expanded.
        answer_ids: int64 [answer tokens], with the end mark.
        aligned: further integer tensors [tokens] that go with the prompt's tokens (zero at the answer).
        image_tensors: the processor's tensors of the images; without the pixels where there are features.
        features: [image tokens, width], projected vision features of all images in order; None keeps the pixels.
    """

    example: Example
    prompt_ids: torch.Tensor
    answer_ids: torch.Tensor
    aligned: dict[str, torch.Tensor] = field(default_factory=dict)
    image_tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    features: torch.Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """Prompt and answer together."""
        return len(self.prompt_ids) + len(self.answer_ids)


@torch.inference_mode()
def encode_samples(
    backbone: Backbone, examples: Sequence[Example], *, with_features: bool, device: str = "cpu"
) -> list[EncodedSample]:
    """Encode samples one by one, and their images' features in passes of about `TOWER_TOKENS`.

    Args:
        backbone: its processor, tower and projector are used.
        examples: with their images.
        with_features: keep projected vision features instead of pixels; right only while neither the tower nor the
            projector is trained.
        device: where the results are kept.

    Raises:
        ImagesDidNotReachModelError: as in `BatchEncoder.encode_prompts`.
        FeaturesNotKeptError: the features of one sample alone do not fit into the device's memory.
    """
    encoded: list[EncodedSample] = []
    waiting: list[EncodedSample] = []
    for example in examples:
        sample = encode_one(backbone.encoder, example)
        if not with_features:
            encoded.append(_moved(sample, device))
            continue
        if waiting and sum(num_image_tokens(backbone, s) for s in (*waiting, sample)) > TOWER_TOKENS:
            encoded += _with_features(backbone, waiting, device)
            waiting = []
        waiting.append(sample)
    return encoded + _with_features(backbone, waiting, device)


def num_image_tokens(backbone: Backbone, sample: EncodedSample) -> int:
    """Return how many tokens of a prompt stand for its images."""
    return int((sample.prompt_ids == backbone.encoder.image_token_id).sum())


def _with_features(backbone: Backbone, samples: Sequence[EncodedSample], device: str) -> list[EncodedSample]:
    """Put features in the place of pixels; in halves, and halves of these, where a pass does not fit."""
    if not samples:
        return []
    features = _features_if_they_fit(backbone, samples)
    if features is None and len(samples) == 1:
        tokens = num_image_tokens(backbone, samples[0])
        raise FeaturesNotKeptError(f"the vision tower has no memory for one sample of {tokens} image tokens")
    if features is None:
        free_memory(backbone.device)  # outside of `except`, which holds the failed pass's tensors
        half = len(samples) // 2
        return _with_features(backbone, samples[:half], device) + _with_features(backbone, samples[half:], device)
    return [
        replace(
            _moved(sample, device),
            features=part.to(device),
            image_tensors={n: v.to(device) for n, v in sample.image_tensors.items() if n not in PIXEL_TENSORS},
        )
        for sample, part in zip(samples, features, strict=True)
    ]


def _features_if_they_fit(backbone: Backbone, samples: Sequence[EncodedSample]) -> list[torch.Tensor] | None:
    try:
        return vision_features(backbone, samples)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def vision_features(backbone: Backbone, samples: Sequence[EncodedSample]) -> list[torch.Tensor]:
    """Return the projected features of every sample's images: [image tokens, width] each.

    Raises:
        FeaturesNotKeptError: this family's tower gives more than one tensor a token (deep-stacked features).
    """
    tensors = {name: value.to(backbone.device) for name, value in joined_images(samples).items()}
    get_features = backbone.model.model.get_image_features
    known = inspect.signature(get_features).parameters
    output = get_features(**{n: v for n, v in tensors.items() if n in known}, return_dict=True)
    if getattr(output, "deepstack_features", None) is not None:
        raise FeaturesNotKeptError("this backbone's vision features are deep-stacked")
    flat = output.pooler_output
    flat = torch.cat(list(flat), dim=0) if isinstance(flat, (list, tuple)) else flat.flatten(0, -2)
    return list(flat.split([num_image_tokens(backbone, sample) for sample in samples]))


def training_batch(backbone: Backbone, samples: Sequence[EncodedSample]) -> dict[str, Any]:
    """Join samples: prompts with their answers, padded on the right, and `labels` [batch, tokens]."""
    return join_samples(backbone.encoder, samples, with_answers=True, side="right")


def prompt_batch(
    backbone: Backbone, samples: Sequence[EncodedSample], side: Literal["right", "left"] = "right"
) -> dict[str, Any]:
    """Join samples: prompts alone, padded on one side."""
    return join_samples(backbone.encoder, samples, with_answers=False, side=side)


def joined_images(samples: Sequence[EncodedSample]) -> dict[str, torch.Tensor]:
    """Join the images' tensors along their first dimension; smaller ones are padded with zeros, as processors do."""
    names = samples[0].image_tensors if samples else {}
    return {name: _cat_padded([sample.image_tensors[name] for sample in samples]) for name in names}


def encode_one(encoder: BatchEncoder, example: Example) -> EncodedSample:
    """Encode one sample, with its pixels, on the CPU: every image is processed once, however often it is joined."""
    inputs = encoder.encode_prompts([example], device=torch.device("cpu"))
    shape = inputs["input_ids"].shape  # [1, tokens]
    aligned = {
        name: value[0]
        for name, value in inputs.items()
        if value.shape == shape and not value.is_floating_point() and name not in ("input_ids", "attention_mask")
    }
    images = {n: v for n, v in inputs.items() if n not in aligned and n not in ("input_ids", "attention_mask")}
    return EncodedSample(
        example=replace(example, images=()),
        prompt_ids=inputs["input_ids"][0],
        answer_ids=torch.tensor(encoder.answer_ids(example)),
        aligned=aligned,
        image_tensors=images,
    )


def _moved(sample: EncodedSample, device: str) -> EncodedSample:
    return replace(
        sample,
        prompt_ids=sample.prompt_ids.to(device),
        aligned={n: v.to(device) for n, v in sample.aligned.items()},
        image_tensors={n: v.to(device) for n, v in sample.image_tensors.items()},
    )


def join_samples(
    encoder: BatchEncoder, samples: Sequence[EncodedSample], *, with_answers: bool, side: Literal["right", "left"]
) -> dict[str, Any]:
    """Join samples into what a forward pass takes, on the backbone's device.

    Args:
        encoder: of the backbone.
        samples: in their order.
        with_answers: append the answers, and add `labels` [batch, tokens].
        side: that is padded.

    Raises:
        ImagesDidNotReachModelError: more tokens than the backbone takes.
    """
    lengths = [s.num_tokens if with_answers else len(s.prompt_ids) for s in samples]
    longest = max(lengths)
    encoder.check_length(longest)
    names = list(samples[0].aligned)
    shape = (len(samples), longest)
    ids = torch.full(shape, encoder.pad_id)  # [batch, tokens]
    mask, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    aligned = {name: torch.zeros(shape, dtype=samples[0].aligned[name].dtype) for name in names}
    for i, (sample, length) in enumerate(zip(samples, lengths, strict=True)):
        start = longest - length if side == "left" else 0
        end = start + len(sample.prompt_ids)
        ids[i, start:end] = sample.prompt_ids
        mask[i, start : start + length] = 1
        for name in names:
            aligned[name][i, start:end] = sample.aligned[name]
        if with_answers:
            ids[i, end : end + len(sample.answer_ids)] = sample.answer_ids
            labels[i, end : end + len(sample.answer_ids)] = sample.answer_ids
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, **aligned}
    if with_answers:
        inputs["labels"] = labels
    inputs |= joined_images(samples)
    inputs = {name: value.to(encoder.device) for name, value in inputs.items()}
    if samples[0].features is not None:
        inputs["mm_encoder_outputs"] = _as_encoder_output(encoder, samples)
    return inputs


def _as_encoder_output(encoder: BatchEncoder, samples: Sequence[EncodedSample]) -> dict[str, Any]:
    """What a forward pass takes in place of pixels."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    features = [s.features.to(encoder.device, encoder.dtype) for s in samples if s.features is not None]
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}


def _cat_padded(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    trailing = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
    if all(list(t.shape[1:]) == trailing for t in tensors):
        return torch.cat(list(tensors))
    padded = []
    for tensor in tensors:
        full = tensor.new_zeros((tensor.shape[0], *trailing))
        full[tuple(slice(0, size) for size in tensor.shape)] = tensor
        padded.append(full)
    return torch.cat(padded)
