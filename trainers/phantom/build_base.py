"""One reproducible recipe that makes the phantom backbone's base from nothing.

Stages: dense vision, text-only copying, questions about images. The base learns elements, generic questions
and prompts with up to three images; it never meets a rule of the corpus nor a row of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets_spec.phantom.world import ORDINALS
from trainers.phantom.curriculum import MIX, Item, Scene, copy_item, make_dense_scenes, make_items


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseRecipe:
    """How long each stage lasts; learning rates and batch sizes stand with their stages.

    Attributes:
        num_items: questions drawn for training.
        num_dense_scenes: images of the vision stage.
        num_vision_steps: dense vision steps, batch 128.
        num_copy_items: text-only items for the copy stage.
        num_copy_steps: steps of the copy stage.
        num_pointer_steps: steps of the first layer alone, which learns to point at the cell asked about.
        num_word_steps: steps of the first two layers, which learn to say what stands there.
        num_one_image_steps: steps with clear questions about at most one image.
        num_language_steps: steps with all clear questions, several images included.
        num_blended_steps: steps with all questions, those with blended words included.
        num_check_items: fresh questions, equally many of each sort, on which accuracy is measured.
    """

    num_items: int = 30_000
    num_dense_scenes: int = 16_000
    num_vision_steps: int = 900
    num_copy_items: int = 8_000
    num_copy_steps: int = 150
    num_pointer_steps: int = 300
    num_word_steps: int = 500
    num_one_image_steps: int = 500
    num_language_steps: int = 1_600
    num_blended_steps: int = 1_600
    num_check_items: int = 3_200


def build_base(
    out_dir: Path,
    *,
    seed: int,
    on_event: Callable[[str], None] | None = None,
    num_threads: int = 1,
    recipe: BaseRecipe | None = None,
) -> dict[str, Any]:
    """Train a base from scratch; write it as a Hugging Face folder with ``build.json`` beside the weights.

    Args:
        out_dir: folder to write.
        seed: of weights, items and batch order.
        on_event: gets lines of progress.
        num_threads: torch threads; results may differ in the last bits between numbers of threads.
        recipe: lengths of the stages.

    Returns:
        The report that ``build.json`` holds: recipe, seed, seconds, accuracies, hash of the weights.
    """
    import torch

    from trainers.phantom.architecture import new_model, save_backbone
    from trainers.phantom.vision_stage import train_vision

    say = on_event or (lambda line: None)
    plan = recipe or BaseRecipe()
    torch.set_num_threads(num_threads)
    clock = _Clock()
    model = new_model(seed)
    items = make_items(seed, "train", plan.num_items)
    say(f"items: {len(items)} drawn in {clock.lap('items'):.0f} s")
    dense = make_dense_scenes(seed, plan.num_dense_scenes)
    vision = train_vision(model, dense, num_steps=plan.num_vision_steps, seed=seed, on_event=say)
    say(f"vision: {vision} in {clock.lap('vision'):.0f} s")
    model.model.vision_tower.requires_grad_(False)
    _language_stage(model, items, plan, seed, say)
    say(f"language: {clock.lap('language'):.0f} s")
    accuracies = check_base(model, seed=seed, num_items=plan.num_check_items)
    clock.lap("check")
    model.requires_grad_(True)
    save_backbone(model.eval(), out_dir)
    weights = (out_dir / "model.safetensors").read_bytes()
    report = {
        "seed": seed,
        "recipe": asdict(plan),
        "mix": dict(MIX),
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "num_threads": num_threads,
        "torch": torch.__version__,
        "seconds": clock.laps,
        "vision_accuracy": vision,
        "accuracy": accuracies,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (out_dir / "build.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


class _Clock:
    """CPU seconds of each stage: the machine may be shared, so wall time would say little."""

    def __init__(self) -> None:
        self._last = time.process_time()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> float:
        now = time.process_time()
        self.laps[name] = round(now - self._last, 1)
        self._last = now
        return self.laps[name]


def _scenes(items: Sequence[Item]) -> list[Scene]:
    return [scene for item in items for scene in item.scenes]


def group_items(items: Sequence[Item], *, only_clear: bool = False) -> tuple[list[list[Item]], list[Any]]:
    """Items by number of images, 0 to 3, and the same items encoded; empty groups are left out.

    Args:
        items: in the order of the feature cache.
        only_clear: leave out the items with blended words.
    """
    from trainers.phantom.tensors import encode_items

    firsts, place = [], 0
    for item in items:
        firsts.append(place)
        place += len(item.scenes)
    lists, encoded = [], []
    for num_images in range(1 + len(ORDINALS)):
        rows = [
            i for i, item in enumerate(items) if len(item.scenes) == num_images and not (only_clear and item.blends)
        ]
        if rows:
            lists.append([items[i] for i in rows])
            encoded.append(encode_items(lists[-1], [firsts[i] for i in rows]))
    return lists, encoded


def _language_stage(model: Any, items: Sequence[Item], plan: BaseRecipe, seed: int, say: Callable[[str], None]) -> None:
    from datasets_spec.phantom.questions import sample_rng
    from trainers.phantom.language_stage import new_auxiliary_heads, train_language
    from trainers.phantom.tensors import encode_items
    from trainers.phantom.vision_stage import cache_features

    features = cache_features(model, _scenes(items))
    heads = new_auxiliary_heads(seed)
    copies = [copy_item(sample_rng(seed, "base", "copy", i)) for i in range(plan.num_copy_items)]
    clear, groups = group_items(items, only_clear=True)[1], group_items(items)[1]
    stages = (
        ("copy", [encode_items(copies, [0] * len(copies))], 4, plan.num_copy_steps),
        ("pointer", clear[1:2], 1, plan.num_pointer_steps),
        ("word", clear[1:2], 2, plan.num_word_steps),
        ("one image", clear[:2], 4, plan.num_one_image_steps),
        ("all", clear, 4, plan.num_language_steps),
        ("blended", groups, 4, plan.num_blended_steps),
    )
    for number, (name, stage_groups, depth, num_steps) in enumerate(stages):
        shares = [float(len(group.ids)) for group in stage_groups]
        train_language(
            model,
            heads,
            stage_groups,
            shares,
            features,
            num_steps=num_steps,
            depth=depth,
            seed=1_000 * seed + number,
            on_event=say,
            name=name,
        )


def check_base(model: Any, *, seed: int, num_items: int) -> dict[str, float]:
    """Accuracy on fresh items by sort, on plain shapes and on the corpus's looks apart; blended ones together."""
    from trainers.phantom.language_stage import right_answers
    from trainers.phantom.vision_stage import cache_features

    items = make_items(seed, "check", num_items, sorts=tuple(MIX))
    features = cache_features(model, _scenes(items))
    right: dict[str, list[bool]] = {}
    for members, group in zip(*group_items(items), strict=True):
        for item, is_right in zip(members, right_answers(model, group, features).tolist(), strict=True):
            right.setdefault(_sort_name(item), []).append(is_right)
    return {name: round(sum(values) / len(values), 4) for name, values in sorted(right.items())}


def _sort_name(item: Item) -> str:
    if item.sort in ("copy", "modality", "organ"):
        return item.sort
    if item.blends:
        return "blended"
    return f"{item.sort} ({'shapes' if item.scenes[0].modality == 'photo' else 'looks'})"
