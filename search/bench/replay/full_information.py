"""The line that no search can beat by luck alone: the same pick, had every candidate been trained once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.bench.replay.problem import ReplayProblem
from search.seeds import derived_rng
from search.statistics.ties import index_of_largest
from search.strategies.surrogate.encoding import encode
from search.strategies.surrogate.gaussian_process import CONSTANT_VARIANCE, Evidence, Grid, Surrogate
from search.strategies.surrogate.kernels import compare, composition_kernel

Floats = NDArray[np.float64]
# Hyper-parameters are fitted on so many candidates; smoothing then uses all of them.
NUM_FITTED: Final = 256
# A dense solve of more would need more than a gibibyte.
MAX_SMOOTHED: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class FullInformation:
    """Regrets by target, had every candidate been trained once.

    Attributes:
        best_seen: of the candidate with the best result: what item noise and one seed leave to "best seen".
        smoothed: of the highest posterior mean; as `best_seen` in tables too large to solve.
    """

    best_seen: dict[int, float]
    smoothed: dict[int, float]


def full_information(problem: ReplayProblem, repetition: int) -> FullInformation:
    """Pick for every target of a problem from all candidates' results."""
    rows = problem.candidate_rows
    targets = list(problem.targets_searched())
    results = np.array([problem.result(row, repetition)[targets] for row in rows.tolist()])  # [C, targets]
    best_seen = _regrets(problem, rows, targets, results)
    if len(rows) > MAX_SMOOTHED:
        return FullInformation(best_seen=best_seen, smoothed=best_seen)
    smoothed = _smoothed(problem, rows, results, repetition)
    return FullInformation(best_seen=best_seen, smoothed=_regrets(problem, rows, targets, smoothed))


def _regrets(problem: ReplayProblem, rows: NDArray[np.intp], targets: list[int], scores: Floats) -> dict[int, float]:
    return {t: problem.regret(int(rows[index_of_largest(scores[:, k])]), t) for k, t in enumerate(targets)}


def _smoothed(problem: ReplayProblem, rows: NDArray[np.intp], results: Floats, repetition: int) -> Floats:
    """Posterior means of all candidates from one noisy result each, every target for itself: [C, targets]."""
    from scipy.linalg import cho_factor, cho_solve

    encoded = encode([problem.candidate_of(row) for row in rows.tolist()], problem.space)
    rng = derived_rng(repetition, problem.table.name, "smoothing")
    some = np.array(sorted(rng.sample(range(len(rows)), min(NUM_FITTED, len(rows)))))
    num_targets = results.shape[1]
    fitted = Surrogate(
        Evidence(
            candidates=encoded.take(some),
            scores=results[some],
            features=np.zeros((0, len(some), num_targets)),
            feature_groups=(),
            target_likeness=np.eye(num_targets),
            noise=np.ones(num_targets),
        ),
        Grid(target_mixes=((1.0, 0.0, 0.0),)),
    ).likeliest()
    kernel, noise = next(iter(fitted.kernels())), fitted.noises[0]
    covariance = composition_kernel(compare(encoded, encoded), kernel)
    covariance = (1 - noise) * (covariance + CONSTANT_VARIANCE)
    centred = results - results.mean(0)
    solved = cho_solve(cho_factor(covariance + noise * np.eye(len(rows)), overwrite_a=True), centred)
    smoothed: Floats = covariance @ solved
    return smoothed
