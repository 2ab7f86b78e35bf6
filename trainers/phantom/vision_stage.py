"""First stage of the base: the vision tower learns to see every cell.

Linear heads on each patch token name the blob in its cell (pattern, size, direction, contrast), its row and column,
the modality and the organ; the heads are thrown away. A feasibility study's end-to-end attempts without them failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from datasets_spec.phantom.world import AREAS, BASE_SHAPES, LOOKS, NUM_CELLS, NUM_ROWS, PATTERNS
from trainers.phantom.architecture import HIDDEN_SIZE, PIXEL_MEAN, PIXEL_STD
from trainers.phantom.curriculum import Scene

# Head -> (number of classes, weight in the loss).
HEADS: Final = {
    "pattern": (len(PATTERNS) + 1, 1.0),
    "size": (3, 1.0),
    "direction": (3, 1.0),
    "contrast": (3, 1.0),
    "row": (NUM_ROWS, 0.3),
    "column": (NUM_ROWS, 0.3),
    "modality": (len(LOOKS), 0.3),
    "organ": (len(AREAS) + len(BASE_SHAPES), 0.3),
}
PEAK_RATE: Final = 2e-3
BATCH_SIZE: Final = 128


def to_pixels(scenes: Sequence[Scene]) -> torch.Tensor:
    """Stack scenes as the image processor would give them: [images, 3, 48, 48], float32."""
    grey = torch.from_numpy(np.stack([scene.pixels for scene in scenes])).float() / 255.0
    return ((grey - PIXEL_MEAN) / PIXEL_STD).unsqueeze(1).expand(-1, 3, -1, -1)


def cell_labels(scenes: Sequence[Scene]) -> torch.Tensor:
    """Dense labels, one column a head: int64 [images, 16 cells, heads]; class 0 is 'no blob here'."""
    labels = np.zeros((len(scenes), NUM_CELLS, len(HEADS)), dtype=np.int64)
    shapes, looks = (*AREAS, *BASE_SHAPES), tuple(LOOKS)
    cells = np.arange(NUM_CELLS)
    labels[:, :, 4], labels[:, :, 5] = cells // NUM_ROWS, cells % NUM_ROWS
    for index, scene in enumerate(scenes):
        for blob in scene.blobs:
            labels[index, blob.cell, :4] = (1 + blob.pattern, 1 + blob.large, 1 + blob.upright, 1 + blob.strong)
        labels[index, :, 6] = looks.index(scene.modality)
        labels[index, :, 7] = shapes.index(scene.shape)
    return torch.from_numpy(labels)


def patch_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Patch tokens as the projector receives them: [images, 16, 64]."""
    hidden: torch.Tensor = model.model.vision_tower(pixel_values=pixels).last_hidden_state
    return hidden[:, 1:]  # the class token is dropped


def train_vision(
    model: Any, scenes: Sequence[Scene], *, num_steps: int, seed: int, on_event: Callable[[str], None]
) -> dict[str, float]:
    """Train the tower on dense labels; returns the accuracy of each head over the last 20 batches."""
    torch.manual_seed(seed)
    heads = nn.ModuleList([nn.Linear(HIDDEN_SIZE, num) for num, _ in HEADS.values()])
    tower = [p for p in model.model.vision_tower.parameters() if p.requires_grad]
    parameters = [*tower, *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=num_steps, pct_start=0.1)
    pixels, labels = to_pixels(scenes), cell_labels(scenes)
    order = torch.Generator().manual_seed(seed)
    recent: list[list[float]] = []
    for step in range(num_steps):
        rows = torch.randint(len(scenes), (BATCH_SIZE,), generator=order)
        features, wanted = patch_features(model, pixels[rows]), labels[rows]
        loss, accuracies = torch.zeros(()), []
        for column, (head, (_, weight)) in enumerate(zip(heads, HEADS.values(), strict=True)):
            logits = head(features)  # [batch, 16, classes]
            loss = loss + weight * nn.functional.cross_entropy(logits.flatten(0, 1), wanted[..., column].flatten())
            accuracies.append(_blob_accuracy(logits, wanted, column))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        recent.append(accuracies)
        if (step + 1) % 200 == 0:
            on_event(f"vision: step {step + 1} of {num_steps}, loss {loss.item():.3f}")
    means = np.mean(recent[-20:], axis=0)
    return {name: round(float(value), 4) for name, value in zip(HEADS, means, strict=True)}


def _blob_accuracy(logits: torch.Tensor, labels: torch.Tensor, column: int) -> float:
    """Share of right classes; for the four blob heads only over cells that hold a blob."""
    right = (logits.argmax(-1) == labels[..., column]).float()
    if column >= 4:
        return float(right.mean())
    return float(right[labels[..., 0] > 0].mean())


@torch.no_grad()
def cache_features(model: Any, scenes: Sequence[Scene]) -> torch.Tensor:
    """Features of every scene with the frozen tower: [scenes, 16, 64]."""
    parts = [patch_features(model, to_pixels(scenes[start : start + 512])) for start in range(0, len(scenes), 512)]
    return torch.cat(parts)
