from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets_spec.copies.groups import SeenImage, group_copies
from datasets_spec.copies.perceptual_hash import MIRRORED, NUM_VIEWS, Looks, as_numbers, from_numbers, looks_of
from datasets_spec.copies.pixel_agreement import compare
from datasets_spec.copies.shortlist import MAX_BITS, MAX_LOW_BITS, shortlist
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits
from tests.makers.corpus import encoded
from tests.makers.planted import FLIP, MILD, STRONG, phantom_image, photo_like_image

MAKERS: dict[str, Callable[[int], Image.Image]] = {"phantom": phantom_image, "photo-like": photo_like_image}
LIMITS = ImageLimits()


def seen(folder: Path, images: list[Image.Image]) -> dict[str, SeenImage]:
    """Saves images and returns what the first pass keeps of them."""
    found = {}
    for number, image in enumerate(images):
        data = encoded(image)
        (folder / f"{number}.png").write_bytes(data)
        decoded = decode(data, LIMITS)
        numbers = tuple(as_numbers(looks_of(decoded)))
        found[hash_of(decoded)] = SeenImage(numbers=numbers, root=str(folder), published=f"{number}.png")
    assert len(found) == len(images)
    return found


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("edit", MILD)
def test_a_mild_edit_is_found_among_distinct_images(kind: str, edit: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    originals = [MAKERS[kind](number) for number in range(12)]
    copy = MILD[edit](originals[5], rng)
    images = seen(tmp_path, [*originals, copy])
    names = list(images)
    groups, search = group_copies(images, limits=LIMITS)
    assert set(groups) == {names[5], names[12]}
    assert groups[names[5]] == groups[names[12]]
    assert (search.num_images, search.num_copies, search.num_cut) == (13, 1, 0)


def test_a_mirrored_copy_is_found_when_asked_for(tmp_path: Path) -> None:
    originals = [photo_like_image(number) for number in range(6)]
    images = seen(tmp_path, [*originals, FLIP(originals[2], np.random.default_rng(0))])
    assert group_copies(images, limits=LIMITS)[0] == {}
    groups, _ = group_copies(images, limits=LIMITS, flips=True)
    assert set(groups) == {list(images)[2], list(images)[6]}


def test_a_chain_of_copies_is_one_group_and_flat_images_have_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = photo_like_image(3)
    second = MILD["JPEG 75"](first, rng)
    third = MILD["contrast -20 %"](second, rng)
    flat = [Image.new("L", (64, 64), level) for level in (10, 11)]
    images = seen(tmp_path, [first, second, third, *flat])
    groups, search = group_copies(images, limits=LIMITS)
    assert set(groups) == set(list(images)[:3])
    assert len(set(groups.values())) == 1
    # The third pair follows from the other two.
    assert (search.num_flat, search.num_compared, search.num_copies) == (2, 2, 2)


def test_the_order_of_images_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    originals = [phantom_image(number) for number in range(20)]
    images = seen(tmp_path, originals + [MILD["JPEG 75"](image, rng) for image in originals[:5]])
    backwards = dict(reversed(images.items()))
    assert group_copies(images, limits=LIMITS) == group_copies(backwards, limits=LIMITS)


def test_the_same_scene_with_other_noise_is_another_image() -> None:
    rng = np.random.default_rng(0)
    scene = np.asarray(photo_like_image(8, size=96).convert("L"), dtype=float) * 0.6 + 50
    one, two = (Image.fromarray((scene + rng.normal(0, 14, scene.shape)).clip(0, 255).astype(np.uint8)) for _ in "ab")
    agreement = compare(one, two)
    assert agreement.structure > 0.8
    assert not agreement.is_copy


@pytest.mark.parametrize("number", [0, 1, 6, 9, 12, 15, 20])
def test_a_heavy_jpeg_is_a_copy_whichever_way_round_shows_it(number: int) -> None:
    original = phantom_image(number)
    copy = STRONG["JPEG 50"](original, np.random.default_rng(0))
    assert compare(original, copy).is_copy
    assert compare(copy, original).is_copy


def test_looks_survive_arrow() -> None:
    looks = looks_of(photo_like_image(1))
    assert looks is not None
    assert (from_numbers([as_numbers(looks)])[0] == looks).all()
    assert looks_of(Image.new("RGB", (80, 80), (7, 8, 9))) is None


def exhaustive(looks: Looks, with_mirrored: bool) -> set[tuple[int, int]]:
    views = range(NUM_VIEWS if with_mirrored else MIRRORED)
    pairs = set()
    for one in range(len(looks)):
        for two in range(len(looks)):
            differing = [np.bitwise_count(looks[one, view] ^ looks[two, 0]) for view in views]
            if one != two and any(low <= MAX_LOW_BITS and int(low) + int(high) <= MAX_BITS for low, high in differing):
                pairs.add((min(one, two), max(one, two)))
    return pairs


@st.composite
def crowded_looks(draw: st.DrawFn) -> Looks:
    """Random looks, many of which are a few flipped bits away from another's."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    looks = rng.integers(0, 2**64, (draw(st.integers(2, 40)), NUM_VIEWS, 2), dtype=np.uint64)
    for row in range(1, len(looks)):
        if rng.random() < 0.7:
            looks[row] = looks[rng.integers(0, row)]
            for number, most in ((0, MAX_LOW_BITS + 3), (1, MAX_BITS)):
                for bit in rng.integers(0, 64, rng.integers(0, most)):
                    looks[row, rng.integers(0, NUM_VIEWS), number] ^= np.uint64(1) << np.uint64(bit)
    return looks


@given(crowded_looks(), st.booleans())
@settings(max_examples=40)
def test_the_shortlist_is_that_of_comparing_each_with_each(looks: Looks, with_mirrored: bool) -> None:
    found = shortlist(looks, with_mirrored=with_mirrored)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    expected = exhaustive(looks, with_mirrored)
    assert pairs <= expected
    assert found.num_cut > 0 or pairs == expected


def test_thousands_of_equal_hashes_stay_cheap_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_spec.copies.shortlist.MAX_PER_BUCKET", 8)
    looks = np.repeat(np.random.default_rng(0).integers(0, 2**64, (1, NUM_VIEWS, 2), dtype=np.uint64), 3000, axis=0)
    looks[:, 1:] = looks[:, :1]
    found = shortlist(looks)
    assert len(found.first) <= 8 * len(looks)
    assert found.num_cut == len(looks)


def test_nothing_looks_like_nothing() -> None:
    assert len(shortlist(np.empty((0, NUM_VIEWS, 2), dtype=np.uint64)).first) == 0
    assert group_copies({}, limits=LIMITS)[0] == {}
