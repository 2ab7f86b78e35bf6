"""Groups of images that show the same picture: found by their looks, confirmed by their pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from datasets_spec.images import ImageLimits, ImageRefused, decode, read_image, resolve_beneath

if TYPE_CHECKING:
    from PIL import Image

# What is compared has 96 pixels a side, of at most 85 % of an image; four times that keeps every detail of it.
_MAX_SIDE = 384
_NUM_REMEMBERED = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenImage:
    """An image of a usable row.

    Args:
        numbers: Its looks as :func:`looks.as_numbers` gives them.
        root: Folder beneath which it lies.
        published: Its path there.
    """

    numbers: tuple[int, ...]
    root: str
    published: str


class CopySearch(BaseModel):
    """How the search for copies went.

    Args:
        num_images: Distinct images.
        num_flat: Of one grey, which have no looks; copies of these are found by their pixels only.
        num_shortlisted: Pairs that look alike.
        num_compared: Pairs compared by pixels; those already known to show one picture need no comparison.
        num_copies: Pairs of these that show the same picture.
        num_cut: Images with more lookalikes than were followed.
        largest_group: Images in the largest group of copies; all of them are in one split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_images: int = 0
    num_flat: int = 0
    num_shortlisted: int = 0
    num_compared: int = 0
    num_copies: int = 0
    num_cut: int = 0
    largest_group: int = 0


def group_copies(
    images: Mapping[str, SeenImage],
    *,
    limits: ImageLimits,
    flips: bool = False,
    on_event: Callable[[str], None] | None = None,
) -> tuple[dict[str, str], CopySearch]:
    """Groups images that show the same picture.

    Args:
        images: Images by pixel hash.
        limits: What opening one may cost.
        flips: Whether a mirrored image shows the same picture.
        on_event: Told how far it is.

    Returns:
        For every image that has a copy the name of its group, and how the search went.
    """
    from datasets_spec.lookalikes import shortlist
    from datasets_spec.looks import from_numbers

    names = sorted(name for name, image in images.items() if image.numbers)
    num_flat = len(images) - len(names)
    if len(names) < 2:
        return {}, CopySearch(num_images=len(images), num_flat=num_flat)
    pairs = shortlist(from_numbers([images[name].numbers for name in names]), with_mirrored=flips)
    if on_event is not None and len(pairs.first):
        on_event(f"{len(pairs.first)} pairs of {len(images)} images look alike; comparing their pixels")
    opened = lru_cache(maxsize=_NUM_REMEMBERED)(lambda name: _open(images[name], limits))
    parent = list(range(len(names)))
    num_compared = num_copies = 0
    for one, two in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        roots = _root(parent, one), _root(parent, two)
        if roots[0] == roots[1]:
            continue
        num_compared += 1
        if _show_the_same(opened(names[one]), opened(names[two]), flips=flips):
            num_copies += 1
            parent[max(roots)] = min(roots)
    groups = {name: names[_root(parent, number)] for number, name in enumerate(names)}
    sizes = dict.fromkeys(groups.values(), 0)
    for group in groups.values():
        sizes[group] += 1
    search = CopySearch(
        num_images=len(images),
        num_flat=num_flat,
        num_shortlisted=len(pairs.first),
        num_compared=num_compared,
        num_copies=num_copies,
        num_cut=pairs.num_cut,
        largest_group=max(sizes.values()) if num_copies else 0,
    )
    return {name: group for name, group in groups.items() if sizes[group] > 1}, search


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


def _open(seen: SeenImage, limits: ImageLimits) -> Image.Image | None:
    try:
        image = decode(read_image(resolve_beneath(Path(seen.root), seen.published), limits), limits).convert("L")
    except ImageRefused:
        return None  # it changed since it was hashed; writing the store finds that out and stops
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return image


def _show_the_same(one: Image.Image | None, two: Image.Image | None, *, flips: bool) -> bool:
    from PIL import ImageOps

    from datasets_spec.pixel_compare import compare

    if one is None or two is None:
        return False
    return compare(one, two).is_copy or (flips and compare(one, ImageOps.mirror(two)).is_copy)
