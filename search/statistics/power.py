"""How many questions, seeds and trials it takes to see a difference, and what a given design can see.

The difference of two arms on the mean over T targets has the variance

    2 * shift / S + pairing * (1/2 + 1/2S) / (T * N)

with S seeds an arm, N questions a target, `shift` the variance by which a training run moves all its answers (on all
targets alike, to be careful), and `pairing` the variance of one question's paired difference between two runs, half of
which is what the two mixes find hard and does not go away with seeds. Where one arm has further seeds, 2/S is the sum
of the reciprocals. Both come from trials that have finished, or are
assumed and said to be. The formula of Miller (arXiv:2411.00640, section 5) with a term for seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from search.statistics.verdicts import ALPHA, POWER, detectable_beyond

# Before anything is measured: training noise of the digits tables (2.8 points), and pairs of models at 60 % that agree
# on two questions in three. Both are near what the phantom shows (docs/benchmarks.md).
ASSUMED_SHIFT_SD = 0.028
ASSUMED_PAIRING = 0.35
# Spread of true accuracy between compositions of the digits tables.
ASSUMED_WORTH_SD = 0.03
MOST_SEEDS = 20
MOST_QUESTIONS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """What a comparison has to see through.

    Attributes:
        shift_sd: standard deviation of a run's accuracy from training alone, as a share.
        pairing: variance of one question's difference between two single runs; at most 1.
        num_arms: arms that it was measured on; 0 means assumed.
    """

    shift_sd: float
    pairing: float
    num_arms: int

    @property
    def is_measured(self) -> bool:
        """Whether finished trials have shown it."""
        return self.num_arms > 0


ASSUMED = Noise(shift_sd=ASSUMED_SHIFT_SD, pairing=ASSUMED_PAIRING, num_arms=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """What a comparison of two arms can see.

    Attributes:
        num_seeds: of each arm.
        num_questions: of each target.
        num_targets: over which the mean is taken.
        difference: found with probability `POWER` at error rate `ALPHA`, as a share.
    """

    num_seeds: int
    num_questions: int
    num_targets: int
    difference: float


def detectable(
    noise: Noise,
    *,
    num_seeds: int,
    num_questions: int,
    num_targets: int = 1,
    num_comparisons: int = 1,
    num_further: int = 0,
) -> Detection:
    """What two arms of so many seeds and questions can see, one of them with `num_further` seeds beside.

    Raises:
        ValueError: a number is not positive.
    """
    if min(num_seeds, num_questions, num_targets, num_comparisons) < 1:
        raise ValueError("seeds, questions, targets and comparisons are at least one each")
    shift, questions = _variances(noise, (num_seeds, num_seeds + num_further), num_questions, num_targets)
    freedom = (2 + num_comparisons + 1) * (num_seeds - 1) + num_further
    half_width = _half_width(shift, questions, freedom, num_comparisons)
    return Detection(
        num_seeds=num_seeds,
        num_questions=num_questions,
        num_targets=num_targets,
        difference=detectable_beyond(half_width, math.sqrt(shift + questions), power=POWER),
    )


def seeds_needed(
    noise: Noise, difference: float, *, num_questions: int, num_targets: int = 1, num_comparisons: int = 1
) -> int | None:
    """Fewest seeds an arm, from two up, that see a difference; None where no number of seeds does."""
    for num_seeds in range(2, MOST_SEEDS + 1):
        found = detectable(
            noise,
            num_seeds=num_seeds,
            num_questions=num_questions,
            num_targets=num_targets,
            num_comparisons=num_comparisons,
        )
        if found.difference <= difference:
            return num_seeds
    return None


def questions_needed(
    noise: Noise,
    difference: float,
    *,
    num_seeds: int,
    num_targets: int = 1,
    num_comparisons: int = 1,
    num_further: int = 0,
) -> int | None:
    """Fewest questions a target that see a difference; None where training noise alone hides it."""
    low, high = 1, MOST_QUESTIONS

    def sees(num_questions: int) -> bool:
        found = detectable(
            noise,
            num_seeds=num_seeds,
            num_questions=num_questions,
            num_targets=num_targets,
            num_comparisons=num_comparisons,
            num_further=num_further,
        )
        return found.difference <= difference

    if not sees(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if sees(middle) else (middle + 1, high)
    return low


def trial_noise(noise: Noise, *, num_questions: int, num_targets: int = 1) -> float:
    """Standard deviation of one trial's score around what its composition is worth, as a share.

    Args:
        noise: of trials.
        num_questions: of each target, on the split that the search is guided by.
        num_targets: over which the mean is taken.
    """
    return math.sqrt(noise.shift_sd**2 + noise.pairing / 2 / (num_targets * num_questions))


def expected_gain(num_trials: int, *, worth_sd: float, noise_sd: float) -> float:
    """How much better than the mean composition the best of so many trials is expected to be, as a share.

    The expected maximum of K normal scores (Blom, 1958) times the spread that is not noise: with noisy trials the
    best-looking one is picked, not the best one.

    Args:
        num_trials: of the search.
        worth_sd: standard deviation of what compositions are worth.
        noise_sd: standard deviation of one trial's score around it.
    """
    from scipy.stats import norm

    if num_trials < 2 or worth_sd <= 0:
        return 0.0
    highest = float(norm.ppf((num_trials - 0.375) / (num_trials + 0.25)))
    return highest * worth_sd**2 / math.hypot(worth_sd, noise_sd)


def trials_needed(gain: float, *, worth_sd: float, noise_sd: float, most: int = 1000) -> int | None:
    """Fewest trials whose best is expected to be `gain` better than the mean composition; None beyond `most`."""
    for num_trials in range(2, most + 1):
        if expected_gain(num_trials, worth_sd=worth_sd, noise_sd=noise_sd) >= gain:
            return num_trials
    return None


def _variances(noise: Noise, seeds: tuple[int, int], num_questions: int, num_targets: int) -> tuple[float, float]:
    """Of the difference of two arms: what training adds, what the questions add."""
    runs = 1 / seeds[0] + 1 / seeds[1]
    # Averaging over seeds leaves what the mixes find hard (about half of a single pair's variance) as it is.
    paired = noise.pairing * (0.5 + 0.25 * runs) / num_questions
    return runs * noise.shift_sd**2, paired / num_targets


def _half_width(shift: float, questions: float, freedom: int, num_comparisons: int) -> float:
    """Of the interval that decides: each part of the variance by its own quantile (Cochran, Biometrics 20, 1964).

    Questions are many; seeds have the degrees of freedom of both arms and of what the other arms of the same
    confirmation lend them (`seed_variance_prior`), if they agree.
    """
    from scipy.stats import norm, t

    level = 1 - ALPHA / (2 * num_comparisons)
    of_seeds = norm.ppf(level) if freedom < 1 else t.ppf(level, freedom)
    return math.sqrt(float(of_seeds**2 * shift + norm.ppf(level) ** 2 * questions))
