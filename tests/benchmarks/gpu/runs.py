"""Timed fine-tunes of one shape: tokens a second, share of the device's matmul rate, memory against the estimate."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tests.benchmarks.gpu.shapes import Shape, random_samples
from trainers.backbone.backbone import Backbone
from trainers.backbone.memory import free_memory, is_out_of_memory
from trainers.recipe import Recipe
from trainers.rows.feeds import EncodedFeed
from trainers.training.memory_estimate import GIB, estimate_for
from trainers.training.packed_loop import Member, Pack

RANK = 16
TIMED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One fine-tune, or several side by side.

    Attributes:
        micro_batch: samples of each.
        num_packed: fine-tunes.
        with_features: vision features are kept instead of pixels.
    """

    micro_batch: int
    num_packed: int
    with_features: bool


def timed_run(name: str, shape: Shape, backbone: Backbone, setting: Setting, matmul_rate: float) -> dict[str, Any]:
    """Train a few steps; return what was measured, or that it did not fit."""
    recipe = Recipe(
        learning_rate=1e-4, num_steps=TIMED_STEPS + 1, batch_size=setting.micro_batch, lora_rank=RANK,
        micro_batch_size=setting.micro_batch,
    )  # fmt: skip
    about = {"shape": name, **asdict(setting), "estimated_gib": _estimated_gib(shape, backbone, recipe, setting)}
    try:
        seconds, peak = _steps(shape, backbone, recipe, setting)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        seconds = None
    free_memory(backbone.device)  # outside of `except`, which holds the failed step's tensors
    if seconds is None:
        return about | {"out_of_memory": True}
    tokens = setting.num_packed * setting.micro_batch * shape.num_tokens
    rate = tokens * _operations_a_token(shape, backbone, setting) / seconds
    return about | {
        "step_s": round(seconds, 4),
        "tokens_a_s": round(tokens / seconds, 1),
        "share_of_matmul_rate": round(rate / matmul_rate, 3),
        "peak_gib": None if peak is None else round(peak / GIB, 2),
    }


def matmul_operations_a_s(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """What the device makes of square products: two operations for each multiplication and addition."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        _wait(device)
        started = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _steps(shape: Shape, backbone: Backbone, recipe: Recipe, setting: Setting) -> tuple[float, int | None]:
    samples = random_samples(backbone, shape, setting.micro_batch, with_features=setting.with_features)
    feed = EncodedFeed(backbone, samples)
    is_cuda = backbone.device.type == "cuda"
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(backbone.device)
    pack = Pack(backbone, [Member(recipe=recipe, feed=feed, seed=seed) for seed in range(setting.num_packed)])
    pack.advance(1)
    times = []
    for _ in range(TIMED_STEPS):
        _wait(backbone.device)
        started = time.perf_counter()
        pack.advance(1)
        _wait(backbone.device)
        times.append(time.perf_counter() - started)
    return min(times), torch.cuda.max_memory_allocated(backbone.device) if is_cuda else None


def _estimated_gib(shape: Shape, backbone: Backbone, recipe: Recipe, setting: Setting) -> float:
    """What `recombine plan` would say, without what a device takes for itself, which torch does not count."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(shape.make_config(), dtype=backbone.dtype)
    model.requires_grad_(False)
    found = estimate_for(model, recipe, num_packed=setting.num_packed, num_tokens=shape.num_tokens)
    return round(found.weights_gib + found.adapters_gib + found.activations_gib + found.gradients_gib, 2)


def _operations_a_token(shape: Shape, backbone: Backbone, setting: Setting) -> float:
    """Forward and backward through frozen layers (two products each), causal attention, and the tower's forward."""
    model = backbone.model
    decoder = model.get_decoder()
    embeddings = decoder.get_input_embeddings().weight.numel()
    weights = sum(p.numel() for p in decoder.parameters()) - embeddings
    text = model.config.get_text_config()
    attention = 7 * shape.num_tokens * text.hidden_size * text.num_hidden_layers
    tower = 0.0
    if not setting.with_features:
        vision = sum(p.numel() for p in model.get_encoder(modality="image").parameters())
        patches = 4 if "image_grid_thw" in shape.image_tensors else 16  # of an image token
        tower = 2 * vision * patches * shape.image_tokens / shape.num_tokens
    return float(4 * weights + attention + tower)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
