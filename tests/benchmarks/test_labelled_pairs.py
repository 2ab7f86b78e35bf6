"""Precision and recall on a folder of labelled pairs of real images, by kind and by half: tables of docs/leakage.md.

The folder (`make bench-copies PAIRS=DIR`) holds images and `pairs.csv` with the columns image_a, image_b, kind and
label (`copy`, `distinct` or another word, which counts in neither). Thresholds were chosen on one half of such a
folder; the halves share no image, and are drawn here again with the seed they were drawn with then.
"""

from __future__ import annotations

import csv
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from datasets_spec.copies.looks import Looks, looks_of
from datasets_spec.copies.picture import picture_of
from datasets_spec.copies.pixel_agreement import compare
from datasets_spec.copies.shortlist import shortlist
from datasets_spec.copies.ties import Ties
from tests.makers.planted import FLIP, MILD, STRONG

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

VARIABLE = "RECOMBINE_PAIRS"
SEED = 20261128
HALVES = ("chosen on", "held out")
Pair = dict[str, str]


@pytest.fixture
def folder() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"no labelled pairs: make bench-copies PAIRS=DIR, or set {VARIABLE} to their folder")
    return Path(named)


def halves_of(pairs: Sequence[Pair]) -> list[str]:
    """Draws halves of pairs so that no image is in both, even by kind and label as far as that allows."""
    ties = Ties()
    for pair in pairs:
        ties.tie(pair["image_a"], pair["image_b"])
    members: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        members[ties.root(pair["image_a"])].append(number)
    order = sorted(members)
    random.Random(SEED).shuffle(order)
    order.sort(key=lambda name: -len(members[name]))
    counts: Counter[tuple[str, str, int]] = Counter()
    halves = [0] * len(pairs)
    for name in order:
        strata = [(pairs[number]["kind"], pairs[number]["label"]) for number in members[name]]
        sizes = [sum(counts[(*stratum, half)] for stratum in strata) for half in (0, 1)]
        tie = random.Random(name + str(SEED)).randrange(2)
        half = tie if sizes[0] == sizes[1] else sizes.index(min(sizes))
        for number, stratum in zip(members[name], strata, strict=True):
            halves[number] = half
            counts[(*stratum, half)] += 1
    return [HALVES[half] for half in halves]


def share(num: int, total: int) -> str:
    if not total:
        return "-"
    low, high = proportion_confint(num, total, method="wilson")
    return f"{num} of {total} = {num / total:.0%} ({low:.0%} to {high:.0%})"


def read_pairs(folder: Path) -> list[Pair]:
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def known_looks(images: Sequence[Image.Image]) -> Looks:
    found = [looks_of(image) for image in images]
    assert all(item is not None for item in found)
    return np.stack([item for item in found if item is not None])


@pytest.mark.parametrize("half", HALVES)
def test_edits_planted_in_real_images(half: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = read_pairs(folder)
    chosen = [pair for pair, own in zip(pairs, halves_of(pairs), strict=True) if own == half]
    names = sorted({pair[side] for pair in chosen for side in ("image_a", "image_b")})
    images = [Image.open(folder / name).convert("RGB") for name in names]
    looks, pictures = known_looks(images), [picture_of(image) for image in images]
    lines = [f"{half}: {len(images)} images", "| edit | shortlisted | found |", "|---|---|---|"]
    for name, edit in {**MILD, **STRONG, "mirrored": FLIP}.items():
        rng = np.random.default_rng(3)
        # Edited one by one: images edited alike would be a crowd of lookalikes of their own.
        copies = [edit(image, rng) for image in images]
        num_listed = num_found = 0
        for number, copy in enumerate(copies):
            listed = shortlist(np.concatenate([looks, known_looks([copy])]))
            if (number, len(images)) in set(zip(listed.first.tolist(), listed.second.tolist(), strict=True)):
                num_listed += 1
                num_found += compare(pictures[number], picture_of(copy)).is_copy
        lines.append(f"| {name} | {num_listed / len(images):.0%} | {share(num_found, len(images))} |")
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201


def test_precision_and_recall_on_labelled_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = read_pairs(folder)
    names = sorted({pair[side] for pair in pairs for side in ("image_a", "image_b")})
    images = [Image.open(folder / name).convert("RGB") for name in names]
    place = {name: number for number, name in enumerate(names)}
    listed = shortlist(known_looks(images))
    alike = set(zip(listed.first.tolist(), listed.second.tolist(), strict=True))
    start = time.process_time()
    pictures = [picture_of(image) for image in images]
    picture_ms = (time.process_time() - start) / len(images) * 1e3
    counts: Counter[tuple[str, str, str, str]] = Counter()
    missed = []
    start = time.process_time()
    for pair, half in zip(pairs, halves_of(pairs), strict=True):
        one, two = sorted((place[pair["image_a"]], place[pair["image_b"]]))
        relation = compare(pictures[one], pictures[two]).relation
        is_listed = (one, two) in alike or images[one].tobytes() == images[two].tobytes()
        counts[half, pair["kind"], pair["label"], relation if is_listed else "not listed"] += 1
        if (pair["label"] == "copy") != (is_listed and relation == "copy"):
            missed.append(f"{half}: {pair}: {relation}, {'listed' if is_listed else 'not listed'}")
    pair_ms = (time.process_time() - start) / len(pairs) * 1e3
    lines = [
        f"{len(images)} images, {len(pairs)} pairs; {picture_ms:.1f} ms a picture, {pair_ms:.1f} ms a pair",
        "| half | kind | precision | recall | distinct told as slices |",
        "|---|---|---|---|---|",
    ]
    kinds = sorted({pair["kind"] for pair in pairs})
    for half in HALVES:
        for kind in [*kinds, "all"]:
            chosen = {key: num for key, num in counts.items() if key[0] == half and kind in (key[1], "all")}

            def total(label: str, *told: str, chosen: dict[tuple[str, str, str, str], int] = chosen) -> int:
                return sum(num for key, num in chosen.items() if key[2] == label and (not told or key[3] in told))

            right, wrong = total("copy", "copy"), total("distinct", "copy")
            slices = f"{total('distinct', 'slice')} of {total('distinct')}"
            lines.append(
                f"| {half} | {kind} | {share(right, right + wrong)} | {share(right, total('copy'))} | {slices} |"
            )
    with capsys.disabled():
        print("", *lines, *missed, sep="\n")  # noqa: T201
