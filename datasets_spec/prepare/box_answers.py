"""A published box or mask becomes the answer that is stored: a box on the grid of its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datasets_spec.boxes import Box, numbers_in, on_grid, outer_box
from datasets_spec.images.decode import decode
from datasets_spec.images.files import file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from datasets_spec.prepare.inputs import SubsetSource

_UNUSABLE = QuarantineReason.box_unusable


def place_box(row: dict[str, Any], sizes: Sequence[tuple[int, int]], source: SubsetSource, limits: ImageLimits) -> None:
    """Writes the box of a staged row into its answer; leaves rows of other kinds alone.

    Args:
        row: A staged row whose images were opened; changed in place.
        sizes: Width and height of its images, upright.
        source: Its subset.
        limits: What a mask may cost.

    Raises:
        ImageRefused: There is no usable box; the caller sets the row aside.
    """
    if source.answer_kind == "box" and row["answer_kind"] == "open":
        row.update(answer_kind="box", label="box", box=list(numbers_in(row["answer"])))
    if row["answer_kind"] != "box":
        return
    if len(sizes) != 1:
        raise ImageRefused(QuarantineReason.image_count_mismatch, f"a box lies in one image, here are {len(sizes)}")
    if row["mask_path"] is not None:
        box = _box_of_mask(row, sizes[0], source, limits)
    elif source.box_form is None:
        raise ImageRefused(_UNUSABLE, "say box_form in the catalog: what do a box's four numbers mean?")
    else:
        box = on_grid(row["box"], source.box_form, sizes[0])
    if box is None:
        raise ImageRefused(_UNUSABLE, "outside the image, or without an area")
    row["answer"] = box.text


def _box_of_mask(row: dict[str, Any], size: tuple[int, int], source: SubsetSource, limits: ImageLimits) -> Box | None:
    place = resolve_beneath(source.image_root, row["mask_path"])
    state = file_state(place)
    row.update(mask_num_bytes=state.num_bytes, mask_mtime_ns=state.mtime_ns)  # also where it is not there yet
    mask = decode(read_image(place, limits), limits)
    if mask.size != size:
        raise ImageRefused(
            _UNUSABLE, f"the mask has {mask.size[0]}x{mask.size[1]} pixels, the image {size[0]}x{size[1]}"
        )
    return outer_box(mask)
