"""Digits fine-tunes as a study with early stopping sees them: the answers of every trial at every rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.digits import NUM_SOURCES, DigitsCorpus
from search.bench.known_truth.digits_training import NUM_STEPS, accuracies, fine_tune, right_answers, start_network

if TYPE_CHECKING:
    from search.bench.known_truth.digits_training import Weights

# Of the truth; the search sees seed 0.
TRUTH_SEEDS: Final = (1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class RungTrials:
    """Compositions of one corpus, trained once for the search and again for the truth.

    Attributes:
        shares: of a trial's steps, rising; the last is 1.
        right: for every share and target, which questions of the search each trial answers rightly, [trials, items].
        truth: accuracy on held-back questions with other seeds, [trials, targets].
    """

    shares: tuple[float, ...]
    right: tuple[tuple[NDArray[np.bool_], ...], ...]
    truth: NDArray[np.float64]


def train_with_rungs(corpus: DigitsCorpus, *, num_trials: int, rungs: Sequence[float], seed: int) -> RungTrials:
    """Train compositions drawn at random, sizes alike, and score each at its rungs and at its end.

    Args:
        corpus: sources and targets.
        num_trials: compositions, all different.
        rungs: shares of the steps.
        seed: of the draw.
    """
    subsets = _drawn(num_trials, np.random.default_rng([seed, num_trials]))
    start = start_network(corpus.start)
    shares = (*rungs, 1.0)
    steps = {max(1, round(share * NUM_STEPS)): place for place, share in enumerate(shares)}
    right: dict[int, tuple[NDArray[np.bool_], ...]] = {}

    def at_step(step: int, weights: Weights) -> None:
        if step in steps:
            right[steps[step]] = tuple(right_answers(weights, corpus.val))

    fine_tune(start, corpus.sources, subsets, 0, on_step=at_step)
    again = [accuracies(fine_tune(start, corpus.sources, subsets, other), corpus.test) for other in TRUTH_SEEDS]
    return RungTrials(
        shares=shares, right=tuple(right[place] for place in range(len(shares))), truth=np.mean(again, axis=0)
    )


def answers_at_rungs(
    start: Weights, corpus: DigitsCorpus, subset: NDArray[np.int8], seed: int, rungs: Sequence[float]
) -> list[list[NDArray[np.bool_]]]:
    """Train one network again, for its answers at the rungs.

    Args:
        start: the common network's weights.
        corpus: sources and targets.
        subset: [N] 0/1.
        seed: of the batch draws.
        rungs: shares of the steps.

    Returns:
        For every rung and target, which questions of the search it answers rightly, [items].
    """
    steps = [max(1, round(share * NUM_STEPS)) for share in rungs]
    found: list[list[NDArray[np.bool_]]] = []

    def at_step(step: int, weights: Weights) -> None:
        if step in steps:
            found.append([right[0] for right in right_answers(weights, corpus.val)])

    fine_tune(start, corpus.sources, subset[None, :], seed, on_step=at_step)
    return found


def _drawn(num: int, rng: np.random.Generator) -> NDArray[np.int8]:
    found: dict[tuple[int, ...], None] = {}
    while len(found) < num:
        size = int(rng.integers(1, NUM_SOURCES + 1))
        found[tuple(sorted(rng.permutation(NUM_SOURCES)[:size].tolist()))] = None
    subsets = np.zeros((num, NUM_SOURCES), dtype=np.int8)
    for row, members in enumerate(found):
        subsets[row, list(members)] = 1
    return subsets
