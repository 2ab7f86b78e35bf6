"""Images as large as a study allows, and no larger than is sensible where it does not say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from datasets_spec.errors import UserError
from tests.makers.families import FAMILIES, SPEC, tiny_backbone
from trainers.backbone.backbone import assemble_backbone, backbone_fingerprint
from trainers.backbone.image_limits import DEFAULT_MAX_PIXELS, limit_images
from trainers.backbone_spec import BackboneSpec
from trainers.prompts.encoder import Example


def picture(width_px: int, height_px: int) -> Example:
    return Example(
        sample_id="s", subset="a", prompt="what ?", options=(), answer_index=-1, answer="x",
        images=(Image.new("RGB", (width_px, height_px)),),
    )  # fmt: skip


def tokens(family: str, size: tuple[int, int], own: dict[str, Any] | None = None, **limits: int) -> int:
    """Image tokens of one picture."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    for name, value in (own or {}).items():
        setattr(processor.image_processor, name, value)
    backbone = assemble_backbone(model, processor, SPEC.model_copy(update=limits))
    ids = backbone.encoder.encode_prompts([picture(*size)])["input_ids"]
    return int((ids == backbone.encoder.image_token_id).sum())


def test_five_megapixels_cost_about_a_thousand_tokens_unless_more_is_asked_for() -> None:
    as_shipped = {"size": {"shortest_edge": 3136, "longest_edge": 12_845_056}}  # of Qwen2.5-VL
    backbone = tiny_backbone("qwen2_vl")
    assert backbone.encoder._max_tokens == 1024
    backbone.processor.image_processor.size = as_shipped["size"]
    limit_images(backbone.processor, min_pixels=None, max_pixels=None)
    grid = backbone.processor.image_processor([Image.new("RGB", (2500, 2000))])["image_grid_thw"]
    assert int(grid[0].prod()) // 4 <= DEFAULT_MAX_PIXELS // 28**2
    limit_images(backbone.processor, min_pixels=None, max_pixels=12_845_056)
    grid = backbone.processor.image_processor([Image.new("RGB", (2500, 2000))])["image_grid_thw"]
    assert int(grid[0].prod()) // 4 > 6000


def test_limits_of_a_study_scale_images_down_and_up() -> None:
    assert tokens("qwen2_vl", (280, 280), max_pixels=28 * 28 * 9) == 9
    assert tokens("qwen2_vl", (280, 280), max_pixels=28 * 28 * 100) == 100
    assert tokens("qwen2_vl", (28, 28), min_pixels=28 * 28 * 16, max_pixels=28 * 28 * 100) == 16
    assert tokens("qwen2_vl", (28, 28)) == 1


def test_a_family_of_tiles_takes_as_many_as_fit() -> None:
    own = {"do_image_splitting": True, "size": {"longest_edge": 128}}  # tiles of 32 x 32, and the whole beside them
    one = tokens("idefics3", (128, 128), own, max_pixels=32 * 32)
    four = tokens("idefics3", (128, 128), own, max_pixels=64 * 64)
    assert tokens("idefics3", (128, 128), own) > four > one
    with pytest.raises(UserError, match="less than one tile of 32 x 32"):
        tokens("idefics3", (128, 128), own, max_pixels=100)


@pytest.mark.parametrize("family", ["llava", "idefics3"])
@pytest.mark.parametrize("name", ["min_pixels", "max_pixels"])
def test_a_limit_that_changes_nothing_is_refused(family: str, name: str) -> None:
    with pytest.raises(UserError, match=f"backbone.{name}: .* scales all images to its own size"):
        tokens(family, (56, 56), None, **{name: 10_000})


def test_a_least_above_the_most_is_refused() -> None:
    with pytest.raises(UserError, match=r"backbone\.min_pixels: 5000 is more than the most, 4000"):
        tokens("qwen2_vl", (56, 56), min_pixels=5000, max_pixels=4000)
    with pytest.raises(ValidationError):
        BackboneSpec(max_pixels=0)


def test_limits_are_part_of_the_identity() -> None:
    def fingerprint(**limits: int) -> str:
        return backbone_fingerprint(BackboneSpec(model="org/model", revision="a" * 40, **limits))

    assert len({fingerprint(), fingerprint(max_pixels=1), fingerprint(max_pixels=2), fingerprint(min_pixels=1)}) == 4
