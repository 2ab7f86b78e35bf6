"""The winner's curse: by how much the best of many overstates what it would reach again.

Two estimates for two places. After a search, the best of a hundred trials is corrected with the distribution that all
of them show (empirical Bayes). Among a few confirmed finalists there is no such distribution; there the choice is made
on one half of the questions and judged on the other (cross-fitting), which needs no model.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.statistics.ties import index_of_largest

NUM_DRAWS = 4000
NUM_SPLITS = 400
# The shares of variance are estimated; with fewer trials than these they would be guesses.
FEWEST_TRIALS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class WinnersCurse:
    """What the best of a search is worth.

    Attributes:
        observed: the best accuracy.
        expected: what a new run of it would reach on new questions.
        optimism: the difference: what luck has added.
        num_trials: among how many it is the best.
        reliability: share of the variance between trials that is not noise; 0 means the ranking is luck.
    """

    observed: float
    expected: float
    num_trials: int
    reliability: float

    @property
    def optimism(self) -> float:
        """What luck has added."""
        return self.observed - self.expected


def winners_curse(
    targets: Sequence[NDArray[np.float64]], *, training_shift: float = 0.0, seed: int = 0, num_draws: int = NUM_DRAWS
) -> WinnersCurse | None:
    """Estimate the optimism of the best of many trials that answered the same questions.

    A trial's accuracy is its worth plus noise. The noise that all trials share (these questions are hard) moves them
    together and cannot choose among them; it is left out, so `expected` is on questions as hard as these. What is
    left, the interaction of trials and questions and training noise, is known from the answers; the variance
    of the trials' worth is what the spread of their accuracies has above that. Worths are then drawn from their
    posterior, noise is added, the best is picked again, and what it lost on average is the optimism.

    Args:
        targets: for each evaluation set 0 or 1, [num_trials, num_items]; trials are ranked by the mean over sets.
        training_shift: variance by which a training run moves all of its answers together; part of the noise.
        seed: of the draws.
        num_draws: number of draws.

    Returns:
        None with fewer than `FEWEST_TRIALS` trials.
    """
    num_trials = targets[0].shape[0] if targets else 0
    if num_trials < FEWEST_TRIALS or any(right.shape[1] < 2 for right in targets):
        return None
    means = np.mean([right.mean(axis=1) for right in targets], axis=0)  # [num_trials]
    # Accuracies near 0 and 1 are less noisy, and the best may be one of these: each trial has a noise of its own.
    scattered = np.sum([_interactions(right) for right in targets], axis=0) / len(targets) ** 2
    noise: NDArray[np.float64] = scattered + training_shift  # [num_trials]
    worth = max(0.0, float(means.var(ddof=1) - noise.mean()))
    reliability = worth / (worth + noise) if worth else np.zeros(num_trials)
    centre = means.mean() + reliability * (means - means.mean())
    rng = np.random.default_rng(seed)
    drawn = centre + np.sqrt(reliability * noise) * rng.standard_normal((num_draws, num_trials))
    seen = drawn + np.sqrt(noise) * rng.standard_normal((num_draws, num_trials))
    picked = seen.argmax(axis=1)
    rows = np.arange(num_draws)
    optimism = float((seen[rows, picked] - drawn[rows, picked]).mean())
    observed = float(means.max())
    return WinnersCurse(
        observed=observed, expected=observed - optimism, num_trials=num_trials, reliability=float(np.mean(reliability))
    )


def _interactions(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each trial's accuracy from finding other questions hard than its fellows do, [num_trials]."""
    num_trials, num_items = right.shape
    residual = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + right.mean()
    variance: NDArray[np.float64] = (residual**2).sum(axis=1) / (num_items - 1) / num_items
    variance *= num_trials / (num_trials - 1)
    return variance


def cross_fitted(
    arms: Mapping[str, Sequence[NDArray[np.float64]]],
    *,
    groups: Sequence[Sequence[Hashable] | None] | None = None,
    seed: int = 0,
    num_splits: int = NUM_SPLITS,
) -> float:
    """What the best of a few arms would reach on other questions, without the luck of having been chosen on these.

    Questions (or patients) are halved at random; the arm that is best on one half is judged on the other, and the mean
    over many halvings is returned. It is the worth of a choice made on half the evidence, so it errs a little to the
    low side. The trained runs are the same in both halves, as they are on `sealed`: what luck of training the choice
    has picked stays in.

    Args:
        arms: for each arm one matrix an evaluation set, 0 to 1, [num_seeds, num_items]; all arms answered the same
            questions.
        groups: patient or study of each question, for each evaluation set.
        seed: of the halvings.
        num_splits: number of halvings.

    Raises:
        ValueError: no arm.
    """
    if not arms:
        raise ValueError("there is no arm to choose among")
    names = list(arms)
    if len(names) == 1:
        return _mean(arms[names[0]])
    rng = np.random.default_rng(seed)
    # [num_arms, num_items] for each evaluation set: seeds are averaged, because they are not what is halved
    per_item = [np.stack([arms[name][k].mean(axis=0) for name in names]) for k in range(len(arms[names[0]]))]
    codes = _cluster_codes([matrix.shape[1] for matrix in per_item], groups)
    num_clusters = 1 + max(int(code.max()) for code in codes)
    found = []
    for _ in range(num_splits):
        half_of = rng.permutation(num_clusters) % 2
        first, second = (_half_means(per_item, codes, half_of, half) for half in (0, 1))
        found += [float(second[index_of_largest(first)]), float(first[index_of_largest(second)])]
    return float(np.mean(found))


def _half_means(
    per_item: Sequence[NDArray[np.float64]],
    codes: Sequence[NDArray[np.int64]],
    half_of: NDArray[np.int64],
    half: int,
) -> NDArray[np.float64]:
    """Accuracy of each arm on one half, the mean over evaluation sets, [num_arms]."""
    means = []
    for matrix, code in zip(per_item, codes, strict=True):
        chosen = half_of[code] == half
        chosen = chosen if chosen.any() else np.ones_like(chosen)  # a set of one patient cannot be halved
        means.append(matrix[:, chosen].mean(axis=1))
    averaged: NDArray[np.float64] = np.mean(means, axis=0)
    return averaged


def _cluster_codes(sizes: Sequence[int], groups: Sequence[Sequence[Hashable] | None] | None) -> list[NDArray[np.int64]]:
    """A number for each question's patient, or for the question itself; a patient has one in all sets."""
    known: dict[Hashable, int] = {}
    codes = []
    for k, size in enumerate(sizes):
        named = groups[k] if groups else None
        keys = [("item", k, i) if named is None else ("group", named[i]) for i in range(size)]
        codes.append(np.array([known.setdefault(key, len(known)) for key in keys]))
    return codes


def _mean(matrices: Sequence[NDArray[np.float64]]) -> float:
    return float(np.mean([matrix.mean() for matrix in matrices]))
