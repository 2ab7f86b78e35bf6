"""What the search for copies finds and misses, per kind of image and edit: the tables of docs/leakage.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from datasets_spec.copies.looks import Looks, looks_of
from datasets_spec.copies.picture import Picture, picture_of
from datasets_spec.copies.pixel_agreement import compare
from datasets_spec.copies.shortlist import shortlist
from tests.makers.planted import FLIP, MILD, STRONG, phantom_image, photo_like_image
from tests.makers.scans import fundus_image, head_slice, speckle_image

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

NUM_PLANTED = 60
KINDS: dict[str, tuple[Callable[[int], Image.Image], int]] = {
    "phantom": (phantom_image, 2_000),
    "photo": (photo_like_image, 600),
    "fundus": (fundus_image, 300),
    "head": (lambda number: head_slice(number, 0.1), 300),
    "ultrasound": (speckle_image, 300),
}


def looks(images: Sequence[Image.Image]) -> Looks:
    found = [looks_of(image) for image in images]
    return np.stack([item for item in found if item is not None])


@pytest.mark.parametrize("kind", KINDS)
def test_copies_found_among_distinct_images(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    maker, num_distinct = KINDS[kind]
    originals = [maker(number) for number in range(num_distinct)]
    start = time.process_time()
    distinct = looks(originals)
    looks_ms = (time.process_time() - start) / num_distinct * 1e3
    start = time.process_time()
    pairs = shortlist(distinct)
    shortlist_ms = (time.process_time() - start) / num_distinct * 1e3
    pictures: dict[int, Picture] = {}
    start = time.process_time()
    wrong, as_slices = 0, 0
    for one, two in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        both = [pictures.setdefault(number, picture_of(originals[number])) for number in (one, two)]
        relation = compare(both[0], both[1]).relation
        wrong, as_slices = wrong + (relation == "copy"), as_slices + (relation == "slice")
    compare_ms = (time.process_time() - start) / max(1, len(pairs.first)) * 1e3
    lines = [
        f"{kind}: {num_distinct} distinct images, {len(pairs.first)} pairs shortlisted, {wrong} taken for copies and "
        f"{as_slices} for slices; {looks_ms:.2f} ms an image for looks, {shortlist_ms:.2f} for the shortlist, "
        f"{compare_ms:.1f} ms a pair"
    ]
    num_found, missed = 0, []
    for name, edit in {**MILD, **STRONG, "mirrored": FLIP}.items():
        rng = np.random.default_rng(3)
        chosen = range(0, num_distinct, num_distinct // NUM_PLANTED)[:NUM_PLANTED]
        copies = [edit(originals[number], rng) for number in chosen]
        shortlisted, found = planted(distinct, originals, list(chosen), copies)
        num_found += found
        lines.append(f"{kind} | {name} | {shortlisted / len(copies):.0%} | {found / len(copies):.0%}")
        if (name in MILD or name == "mirrored") and found < 0.95 * len(copies):
            missed.append(lines[-1])
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
    assert wrong <= 0.01 * num_found
    assert not missed


def planted(
    distinct: Looks, originals: list[Image.Image], chosen: list[int], copies: list[Image.Image]
) -> tuple[int, int]:
    """Plants copies among all distinct images; returns how many are shortlisted with theirs, and how many confirmed."""
    pairs = shortlist(np.concatenate([distinct, looks(copies)]))
    listed = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    own = [number for number in range(len(copies)) if (chosen[number], len(distinct) + number) in listed]
    found = sum(compare(picture_of(originals[chosen[n]]), picture_of(copies[n])).is_copy for n in own)
    return len(own), found
