"""A small world with the structure of modality, area and task, made of handwritten digits.

Four ways an image is taken (modality) x three groups of digits (area) x three questions (task) are 36 keys. A corpus
seed says which twelve are sources; the other 24 are targets that no source trains on. Sources differ in quality: some
have wrong labels, some are small. Images: the 8x8 digits of the UCI repository (Alpaydin and Kaynak, 1998, CC BY 4.0)
as scikit-learn ships them.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import UserError

MODALITIES: Final = ("plain", "inverted", "turned", "edges")
AREAS: Final = ("low digits", "middle digits", "high digits")
TASKS: Final = ("identity", "ink side", "parity")
NUM_SOURCES: Final = 12
NUM_PIXELS: Final = 64
NUM_OUTPUTS: Final = 13  # nine digits, two sides, two parities
PIXEL_NOISE: Final = 0.35  # with less, one source teaches nearly everything
# Place among the sources -> share of wrong labels; and the places of sources that are small.
LABEL_NOISE: Final = {2: 0.5, 7: 0.35, 10: 0.7}
SMALL_PLACES: Final = (0, 4, 5, 9)
NUM_SMALL: Final = 60
# The common start has seen a little of everything, half of it wrong, as a backbone has.
NUM_START_ITEMS: Final = 25
START_LABEL_NOISE: Final = 0.5

# Outputs of one group are the options of one question: three digits of an area, two sides, two parities.
OPTION_GROUPS: Final = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4)

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
DigitKey = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """Questions as numbers: inputs [n, 67] (pixels, then which task), answers [n] (index of an output)."""

    inputs: Floats
    answers: Ints

    def __len__(self) -> int:
        """How many."""
        return len(self.answers)


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsCorpus:
    """One corpus: its sources and targets, with everything that is trained or scored."""

    source_mat: tuple[DigitKey, ...]
    target_mat: tuple[DigitKey, ...]
    sources: tuple[Items, ...]
    val: tuple[Items, ...]
    test: tuple[Items, ...]
    start: Items


def load_digits(path: Path | None) -> tuple[Floats, Ints]:
    """Images [n, 8, 8] in 0 to 1 and labels [n] of the digits 0 to 8.

    Args:
        path: comma-separated lines of 64 pixels (0 to 16) and a label, plain or gzipped; None takes the file
            that an installed scikit-learn ships.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    path = path or _shipped_digits()
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        values = np.loadtxt(io.BytesIO(text), delimiter=",", ndmin=2)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: no table of digits ({error})", hint="lines of 64 pixels and a label") from error
    if values.shape[1] != NUM_PIXELS + 1 or not np.isin(values[:, -1], range(10)).all():
        raise UserError(f"{path}: lines of 64 pixels and a label from 0 to 9 are needed, found {values.shape}")
    kept = values[values[:, -1] < 9]
    return (kept[:, :-1] / 16).reshape(-1, 8, 8).astype(np.float32), kept[:, -1].astype(np.int64)


def _shipped_digits() -> Path:
    from importlib.util import find_spec

    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise UserError(
            "the digits come with scikit-learn, which is not installed",
            hint="`pip install scikit-learn`, or give the file with --digits",
        )
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def build_corpus(images: Floats, labels: Ints, seed: int) -> DigitsCorpus:
    """Draw sources and targets and make their items.

    Args:
        images: [n, 8, 8].
        labels: [n] digits 0 to 8.
        seed: of the corpus: which keys are sources, all noise.
    """
    rng = np.random.default_rng([20261125, seed])
    split = np.random.default_rng(0).permutation(len(labels))  # the same questions are held out in every corpus
    bounds = (0, len(labels) // 2, 3 * len(labels) // 4, len(labels))
    pools = [split[bounds[k] : bounds[k + 1]] for k in range(3)]
    keys = list(product(range(len(MODALITIES)), range(len(AREAS)), range(len(TASKS))))
    order = [keys[place] for place in rng.permutation(len(keys))]
    half = float(np.median(_left_minus_right(images)))
    made = {(key, k): _items(images, labels, pools[k], key, half, rng) for key in order for k in range(3)}
    start = _joined([_start_items(made[key, 0], key, rng) for key in keys])
    sources = [_with_flaws(made[key, 0], key, place, rng) for place, key in enumerate(order[:NUM_SOURCES])]
    return DigitsCorpus(
        source_mat=tuple(_named(key) for key in order[:NUM_SOURCES]),
        target_mat=tuple(_named(key) for key in order[NUM_SOURCES:]),
        sources=tuple(sources),
        val=tuple(made[key, 1] for key in order[NUM_SOURCES:]),
        test=tuple(made[key, 2] for key in order[NUM_SOURCES:]),
        start=start,
    )


def _named(key: tuple[int, int, int]) -> DigitKey:
    return MODALITIES[key[0]], AREAS[key[1]], TASKS[key[2]]


def _left_minus_right(images: Floats) -> Floats:
    difference: Floats = images[:, :, :4].sum(axis=(1, 2)) - images[:, :, 4:].sum(axis=(1, 2))
    return difference


def _items(
    images: Floats, labels: Ints, pool: Ints, key: tuple[int, int, int], half: float, rng: np.random.Generator
) -> Items:
    modality, area, task = key
    chosen = pool[labels[pool] // 3 == area]
    seen, digits = images[chosen], labels[chosen]
    answers = (digits, 9 + (_left_minus_right(seen) > half), 11 + digits % 2)[task].astype(np.int64)
    taken = _taken(seen, modality).reshape(len(chosen), NUM_PIXELS)
    taken = taken + PIXEL_NOISE * rng.standard_normal(taken.shape).astype(np.float32)
    which = np.zeros((len(chosen), len(TASKS)), dtype=np.float32)
    which[:, task] = 1
    return Items(inputs=np.concatenate([taken, which], axis=1), answers=answers)


def _taken(images: Floats, modality: int) -> Floats:
    if modality == 0:
        return images
    if modality == 1:
        return 1 - images
    if modality == 2:
        return np.rot90(images, axes=(1, 2)).copy()
    across = np.abs(np.diff(images, axis=2, prepend=images[:, :, :1]))
    down = np.abs(np.diff(images, axis=1, prepend=images[:, :1]))
    edges: Floats = across + down
    return edges


def options_of(area: int, task: int) -> Ints:
    """The outputs that a question of this area and task may be answered with."""
    ranges = (np.arange(3 * area, 3 * area + 3), np.arange(9, 11), np.arange(11, 13))
    return ranges[task].astype(np.int64)


def _redrawn(items: Items, key: tuple[int, int, int], share: float, rng: np.random.Generator) -> Items:
    options = options_of(key[1], key[2])
    wrong = rng.random(len(items)) < share
    answers = np.where(wrong, options[rng.integers(len(options), size=len(items))], items.answers)
    return Items(inputs=items.inputs, answers=answers)


def _start_items(items: Items, key: tuple[int, int, int], rng: np.random.Generator) -> Items:
    some = rng.permutation(len(items))[:NUM_START_ITEMS]
    return _redrawn(Items(inputs=items.inputs[some], answers=items.answers[some]), key, START_LABEL_NOISE, rng)


def _with_flaws(items: Items, key: tuple[int, int, int], place: int, rng: np.random.Generator) -> Items:
    if place in SMALL_PLACES:
        some = rng.permutation(len(items))[:NUM_SMALL]
        items = Items(inputs=items.inputs[some], answers=items.answers[some])
    return _redrawn(items, key, LABEL_NOISE.get(place, 0.0), rng)


def _joined(parts: list[Items]) -> Items:
    return Items(
        inputs=np.concatenate([part.inputs for part in parts]), answers=np.concatenate([p.answers for p in parts])
    )
