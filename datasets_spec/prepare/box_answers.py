"""A published box or mask becomes the answer that is stored: a box on the grid of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datasets_spec.boxes import Box, numbers_in, on_grid
from datasets_spec.images.limits import ImageRefused
from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from datasets_spec.prepare.inputs import SubsetSource

_UNUSABLE = QuarantineReason.box_unusable


def place_box(
    row: dict[str, Any], sizes: Sequence[tuple[int, int]], mask: Mapping[str, Any] | None, source: SubsetSource
) -> None:
    """Writes the box of a staged row into its answer; leaves rows of other kinds alone.

    Args:
        row: A staged row whose images were opened; changed in place.
        sizes: Width and height of its images, upright.
        mask: What is known of its mask; None where it has none.
        source: Its subset.

    Raises:
        ImageRefused: There is no usable box; the caller sets the row aside.
    """
    if source.answer_kind == "box" and row["answer_kind"] == "open":
        row.update(answer_kind="box", label="box", box=list(numbers_in(row["answer"])))
    if row["answer_kind"] != "box":
        return
    if len(sizes) != 1:
        raise ImageRefused(QuarantineReason.image_count_mismatch, f"a box lies in one image, here are {len(sizes)}")
    if mask is not None:
        box = _box_of_mask(mask, sizes[0])
    elif source.box_form is None:
        raise ImageRefused(_UNUSABLE, "say box_form in the catalog: what do a box's four numbers mean?")
    else:
        box = on_grid(row["box"], source.box_form, sizes[0])
    if box is None:
        raise ImageRefused(_UNUSABLE, "outside the image, or without an area")
    row["answer"] = box.text


def _box_of_mask(mask: Mapping[str, Any], size: tuple[int, int]) -> Box | None:
    if mask["reason"] is not None:
        raise ImageRefused(QuarantineReason(mask["reason"]), f"mask {mask['detail']}".rstrip())
    width, height = mask["width"], mask["height"]
    if (width, height) != size:
        raise ImageRefused(_UNUSABLE, f"the mask has {width}x{height} pixels, the image {size[0]}x{size[1]}")
    return None if mask["mask_box"] is None else Box(*mask["mask_box"])
