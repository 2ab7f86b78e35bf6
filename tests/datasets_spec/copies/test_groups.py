from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets_spec.copies import groups as module
from datasets_spec.copies.chunks import SeenImage
from datasets_spec.copies.groups import group_copies
from datasets_spec.copies.looks import as_numbers, looks_of
from datasets_spec.errors import StoreError
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits
from tests.makers.corpus import encoded
from tests.makers.planted import FLIP, MILD, phantom_image, photo_like_image
from tests.makers.scans import fundus_image, head_slice

LIMITS = ImageLimits()


def seen(folder: Path, images: list[Image.Image]) -> dict[str, SeenImage]:
    """Saves images and returns what is kept of them."""
    found = {}
    for number, image in enumerate(images):
        data = encoded(image)
        (folder / f"{number}.png").write_bytes(data)
        decoded = decode(data, LIMITS)
        numbers = tuple(as_numbers(looks_of(decoded)))
        found[hash_of(decoded)] = SeenImage(numbers=numbers, root=str(folder), published=f"{number}.png")
    assert len(found) == len(images)
    return found


@pytest.mark.parametrize("kind", [phantom_image, photo_like_image, fundus_image])
def test_mild_copies_are_found_among_distinct_images(kind: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    originals = [kind(number) for number in range(12)]
    copies = {number: edit(originals[number], rng) for number, edit in enumerate(MILD.values())}
    images = seen(tmp_path, [*originals, *copies.values()])
    names = list(images)
    found = group_copies(images, limits=LIMITS)
    assert {(pair.one, pair.two) for pair in found.pairs} == {
        tuple(sorted((names[number], names[12 + number]))) for number in copies
    }
    assert (found.search.num_images, found.search.num_copies, found.search.num_cut) == (
        12 + len(copies),
        len(copies),
        0,
    )


def test_an_image_that_is_gone_is_no_reason_to_say_that_it_has_no_copy(tmp_path: Path) -> None:
    images = seen(tmp_path, [phantom_image(0), MILD["JPEG 90"](phantom_image(0), np.random.default_rng(0))])
    (tmp_path / "1.png").unlink()
    with pytest.raises(StoreError, match="images changed while they were prepared"):
        group_copies(images, limits=LIMITS)


def test_a_mirrored_copy_is_found_unless_flips_are_off(tmp_path: Path) -> None:
    originals = [head_slice(number, 0.0) for number in range(6)]
    images = seen(tmp_path, [*originals, FLIP(originals[2], np.random.default_rng(0))])
    assert group_copies(images, limits=LIMITS, flips=False).copies == {}
    assert set(group_copies(images, limits=LIMITS).copies) == {list(images)[2], list(images)[6]}


def test_a_chain_of_copies_is_one_group_and_flat_images_have_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = photo_like_image(3)
    second = MILD["JPEG 75"](first, rng)
    third = MILD["contrast -20 %"](second, rng)
    flat = [Image.new("L", (64, 64), level) for level in (10, 11)]
    images = seen(tmp_path, [first, second, third, *flat])
    found = group_copies(images, limits=LIMITS)
    assert set(found.copies) == set(list(images)[:3])
    assert len(set(found.copies.values())) == 1
    # The third pair follows from the other two.
    assert (found.search.num_flat, found.search.num_compared, found.search.num_copies) == (2, 2, 2)


def test_slices_of_a_volume_are_a_group_of_their_own(tmp_path: Path) -> None:
    slices = [head_slice(1, 0.1 + 0.05 * number) for number in range(4)]
    copy = MILD["JPEG 75"](slices[0], np.random.default_rng(0))
    images = seen(tmp_path, [*slices, head_slice(2, 0.1), copy])
    names = list(images)
    found = group_copies(images, limits=LIMITS)
    assert set(found.copies) == {names[0], names[5]}
    assert set(names[:4]) <= set(found.slices)
    assert names[4] not in found.slices
    assert len(set(found.slices.values())) == 1
    assert found.search.num_slices >= 3


def test_the_order_of_images_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    originals = [phantom_image(number) for number in range(20)]
    images = seen(tmp_path, originals + [MILD["JPEG 75"](image, rng) for image in originals[:5]])
    backwards = dict(reversed(images.items()))
    assert group_copies(images, limits=LIMITS) == group_copies(backwards, limits=LIMITS)


def test_images_of_one_patient_are_not_compared(tmp_path: Path) -> None:
    slices = [head_slice(1, 0.1 + 0.05 * number) for number in range(4)]
    images = seen(tmp_path, [*slices, MILD["JPEG 75"](slices[3], np.random.default_rng(0))])
    names = list(images)
    found = group_copies(images, limits=LIMITS, known=dict.fromkeys(names[:4], "patient"))
    assert found.search.num_known == 4
    assert [(pair.one, pair.two) for pair in found.pairs if pair.relation == "copy"] == [tuple(sorted(names[3:]))]
    assert not any({pair.one, pair.two} <= set(names[:4]) for pair in found.pairs)


def test_what_the_budget_leaves_out_is_counted_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    originals = [photo_like_image(number) for number in range(6)]
    images = seen(tmp_path, originals + [MILD["JPEG 90"](image, rng) for image in originals])
    monkeypatch.setattr(module, "MIN_PAIRS", 2)
    monkeypatch.setattr(module, "MAX_PAIRS_PER_IMAGE", 0)
    search = group_copies(images, limits=LIMITS).search
    assert (search.num_compared, search.num_copies) == (2, 2)
    assert search.num_over_budget == search.num_shortlisted - 2 >= 4
    assert search.num_expected == search.num_over_budget  # the last that was compared was a copy


def test_of_no_image_there_is_no_copy() -> None:
    assert group_copies({}, limits=LIMITS).copies == {}
