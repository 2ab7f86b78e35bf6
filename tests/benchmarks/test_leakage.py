"""What the search for copies finds and misses, per kind of image and edit: the tables of docs/leakage.md."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from datasets_spec.copies.perceptual_hash import Looks, looks_of
from datasets_spec.copies.pixel_agreement import compare
from datasets_spec.copies.shortlist import shortlist
from tests.makers.planted import FLIP, MILD, STRONG, Edit, phantom_image, photo_like_image

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

NUM_DISTINCT = 10_000
NUM_PLANTED = 200
KINDS: dict[str, Callable[[int], Image.Image]] = {"phantom": phantom_image, "photo-like": photo_like_image}


def looks(images: list[Image.Image]) -> Looks:
    found = [looks_of(image) for image in images]
    return np.stack([item for item in found if item is not None])


@pytest.mark.parametrize("kind", KINDS)
def test_copies_found_among_distinct_images(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    originals = [KINDS[kind](number) for number in range(NUM_DISTINCT)]
    start = time.perf_counter()
    distinct = looks(originals)
    hash_us = (time.perf_counter() - start) / NUM_DISTINCT * 1e6
    start = time.perf_counter()
    pairs = shortlist(distinct)
    shortlist_s = time.perf_counter() - start
    start = time.perf_counter()
    wrong = sum(
        compare(originals[one], originals[two]).is_copy
        for one, two in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    )
    compare_ms = (time.perf_counter() - start) / max(1, len(pairs.first)) * 1e3
    lines = [
        f"{kind}: {NUM_DISTINCT} distinct images: {len(pairs.first)} pairs shortlisted ({shortlist_s:.1f} s), "
        f"{wrong} taken for copies; {hash_us:.0f} us a hash, {compare_ms:.0f} ms a comparison"
    ]
    edits: dict[str, Edit] = {**MILD, **STRONG, "mirrored": FLIP}
    for name, edit in edits.items():
        shortlisted, found = planted(originals, edit, with_mirrored=edit is FLIP)
        lines.append(f"{kind} | {name} | {shortlisted / NUM_PLANTED:.1%} | {found / NUM_PLANTED:.1%}")
        if name in MILD:
            assert found >= 0.95 * NUM_PLANTED, lines[-1]
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
    assert wrong == 0


def planted(originals: list[Image.Image], edit: Edit, *, with_mirrored: bool) -> tuple[int, int]:
    """Plants copies of the first originals; returns how many are shortlisted with theirs, and how many confirmed."""
    rng = np.random.default_rng(3)
    step = NUM_DISTINCT // NUM_PLANTED
    chosen = originals[::step][:NUM_PLANTED]
    copies = [edit(image, rng) for image in chosen]
    pairs = shortlist(looks([*chosen, *copies]), with_mirrored=with_mirrored)
    listed = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    own = [number for number in range(NUM_PLANTED) if (number, number + NUM_PLANTED) in listed]
    found = 0
    for number in own:
        copy = FLIP(copies[number], rng) if with_mirrored else copies[number]
        found += compare(chosen[number], copy).is_copy
    return len(own), found
