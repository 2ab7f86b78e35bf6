"""The paired hierarchical bootstrap: uncertainty over questions (or patients) and over training seeds.

Two sources of chance, two treatments. Questions are many, so they are resampled: a Bayesian bootstrap (Rubin,
Ann. Statist. 9, 1981) with half a pseudo-question for each way a question could still have come out (the Jeffreys
prior; the paired-proportions remedy of Agresti and Min, Statist. Med. 24, 2005), because the plain bootstrap of
30 questions that all agree would claim certainty. Where questions share a patient or study, patients are
resampled (clustered errors: Miller, arXiv:2411.00640), with what few of them lack (`few_clusters`), and where nearly
all their questions come out alike pseudo-questions weigh up to a patient's; one patient tells nothing of others.
Seeds are two to five an arm, and resampling so few understates their variance by (k - 1) / k and knows no heavy
tails; their part is therefore drawn from Student's t with the variance pooled over both arms, moderated by what a
study's other arms show (`training_noise`). Arms are treated as independent given the questions. The residual (seeds
that disagree on single questions) is in both parts, as in Owen's pigeonhole bootstrap (Ann. Appl. Statist. 1, 2007),
which errs towards caution; it is taken out of the seeds' part to the extent that other arms support that part,
because two seeds alone are too few to take anything from.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.statistics.few_clusters import mean_of_sets, pseudo_sizes, tell_nothing
from search.statistics.intervals import Interval
from search.statistics.training_noise import NOTHING_KNOWN, SeedVariance, answer_variance, moderated, own_seed_variance

# p-values down to 2e-4, small enough for 249 comparisons judged together at 5 %.
NUM_RESAMPLES = 10_000
# Weights of this many draws are held at once: at most 512 x 10,000 questions x 8 bytes = 40 MB.
DRAWS_AT_ONCE = 512
PSEUDO_WEIGHT = 0.5
# Half the width of a 95 % interval in standard errors, of a normal distribution.
HALF_WIDTH_95 = 1.959964


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairedItems:
    """Which questions of one evaluation set two arms got right.

    Attributes:
        first: 0 or 1, [num_seeds_first, num_items].
        second: 0 or 1, [num_seeds_second, num_items]; the same questions in the same order.
        groups: the patient or study of each question, [num_items]; None where unknown: each counts alone.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    groups: Sequence[Hashable] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """First arm minus second.

    Attributes:
        difference: mean over evaluation sets of the difference of accuracies, as a share.
        ci_low: lower end of its own interval, not adjusted for other comparisons (see `judgement.judge`).
        ci_high: upper end.
        p_value: two-sided, not adjusted.
        standard_error: the interval's width in normal standard errors.
        n: questions over all evaluation sets.
        num_seeds: of the first and of the second arm.
        has_seed_noise: whether training noise is in the interval (some arm was trained with two seeds or more,
            or no arm was trained). Without it the interval is too narrow to support a claim.
        draws: of the difference, ascending: what interval and p-value are read from, at whatever level.
    """

    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    standard_error: float
    n: int
    num_seeds: tuple[int, int]
    has_seed_noise: bool
    draws: NDArray[np.float64] = field(repr=False, compare=False)


def paired_difference(
    targets: Sequence[PairedItems],
    *,
    seed: int,
    first_is_trained: bool = True,
    second_is_trained: bool = True,
    prior: SeedVariance = NOTHING_KNOWN,
    seed_variance: SeedVariance | None = None,
    confidence: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
) -> PairedDifference:
    """Compare two arms on one evaluation set, or on the mean over several.

    Args:
        targets: one entry an evaluation set; each arm has the same number of seeds in all of them, in one order.
        seed: of the resampling; equal arguments give equal results.
        first_is_trained: False for an arm without training noise (the untrained backbone).
        second_is_trained: the same of the second arm.
        prior: training noise that other arms show, for the mean over these evaluation sets.
        seed_variance: training noise of one run of either arm, where it is known without asking these arms: arms of
            one seed can then be compared.
        confidence: of the interval.
        num_resamples: number of draws.

    Raises:
        ValueError: no evaluation set, no question, or matrices that do not fit each other.
    """
    _check(targets)
    per_item = [target.first.mean(axis=0) - target.second.mean(axis=0) for target in targets]
    by_seed = [
        np.mean([target.first.mean(axis=1) for target in targets], axis=0),  # [num_seeds_first]
        np.mean([target.second.mean(axis=1) for target in targets], axis=0),  # [num_seeds_second]
    ]
    are_trained = (first_is_trained, second_is_trained)
    trained = [s for s, is_trained in zip(by_seed, are_trained, strict=True) if is_trained]
    matrices = ([target.first for target in targets], [target.second for target in targets])
    residuals = [_residual(m) for m, is_trained in zip(matrices, are_trained, strict=True) if is_trained]
    rng = np.random.default_rng(seed)
    groups = [target.groups for target in targets]
    draws = _item_draws(per_item, groups, (1.0, -1.0), rng, num_resamples)
    if seed_variance is None:
        draws += _seed_draws(trained, prior, residuals, rng, num_resamples)
    else:
        draws += _noise_draws(trained, seed_variance, rng, num_resamples)
    draws.sort()
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedDifference(
        difference=float(np.mean([values.mean() for values in per_item])),
        ci_low=float(low),
        ci_high=float(high),
        p_value=_two_sided(draws),
        standard_error=_standard_error(draws),
        n=sum(len(values) for values in per_item),
        num_seeds=(len(by_seed[0]), len(by_seed[1])),
        has_seed_noise=not trained
        or (max(map(len, trained)) > 1 if seed_variance is None else seed_variance.freedom >= 1),
        draws=draws,
    )


def mean_accuracy(
    targets: Sequence[NDArray[np.float64]],
    *,
    groups: Sequence[Sequence[Hashable] | None] | None = None,
    seed: int,
    is_trained: bool = True,
    prior: SeedVariance = NOTHING_KNOWN,
    confidence: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[float, Interval]:
    """Accuracy of one arm, averaged over its seeds and over evaluation sets, with its interval.

    Args:
        targets: 0 or 1, [num_seeds, num_items] for each evaluation set.
        groups: as in `PairedItems`, for each evaluation set.
        seed: of the resampling.
        is_trained: False for the untrained backbone.
        prior: as in `paired_difference`.
        confidence: of the interval.
        num_resamples: number of draws.
    """
    none = np.zeros((1, 1))
    _check([PairedItems(first=t, second=np.broadcast_to(none, (1, t.shape[-1]))) for t in targets])
    per_item = [target.mean(axis=0) for target in targets]
    by_seed = np.mean([target.mean(axis=1) for target in targets], axis=0)
    rng = np.random.default_rng(seed)
    draws = _item_draws(per_item, groups or [None] * len(targets), (1.0, 0.0), rng, num_resamples)
    draws += _seed_draws([by_seed] if is_trained else [], prior, [_residual(targets)], rng, num_resamples)
    low, high = np.clip(np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2]), 0.0, 1.0)
    return float(np.mean([values.mean() for values in per_item])), Interval(float(low), float(high))


def _check(targets: Sequence[PairedItems]) -> None:
    if not targets:
        raise ValueError("there is no evaluation set to compare on")
    num_seeds = {(target.first.shape[0], target.second.shape[0]) for target in targets}
    if len(num_seeds) > 1 or 0 in min(num_seeds):
        raise ValueError(f"an arm needs the same seeds on every evaluation set, found {sorted(num_seeds)}")
    for target in targets:
        num_items = target.first.shape[1]
        if num_items == 0 or target.second.shape[1] != num_items:
            raise ValueError("both arms need the same questions, and at least one")
        if target.groups is not None and len(target.groups) != num_items:
            raise ValueError("each question needs a group, or none has one")


def _item_draws(
    per_item: Sequence[NDArray[np.float64]],
    groups: Sequence[Sequence[Hashable] | None],
    extremes: tuple[float, float],
    rng: np.random.Generator,
    num_resamples: int,
) -> NDArray[np.float64]:
    """Draws of the mean over evaluation sets of the mean over questions, [num_resamples].

    A patient who has questions in several evaluation sets gets one weight in all of them.
    """
    sums, sizes = _by_cluster(per_item, groups)  # both [num_targets, num_clusters]
    num_targets = len(sums)
    # A set whose questions are one cluster says nothing of the next: what is left are the pseudo-questions.
    is_one = tell_nothing(sizes)
    sums[is_one] = sizes[is_one] = 0.0
    clusters, stands_for = sizes, pseudo_sizes(sums, sizes, extremes)
    # Clusters that look alike are drawn as one: m weights of Exp(1) sum to one of Gamma(m). With three seeds an
    # arm a question has one of 13 differences, so hundreds of questions need a dozen draws. Exact, and fast.
    kinds, shapes = np.unique(np.concatenate([sums, sizes]).round(12), axis=1, return_counts=True)
    sums, sizes = kinds[:num_targets], kinds[num_targets:]
    draws = []
    for count in _chunks(num_resamples):
        weights = rng.standard_gamma(shapes, (count, len(shapes)))
        # [count, num_targets, 2]: the pseudo-questions at both extremes belong to one evaluation set each
        pseudo = rng.standard_gamma(PSEUDO_WEIGHT, (count, num_targets, 2)) * stands_for[:, None]
        totals = weights @ sums.T + pseudo @ np.asarray(extremes)
        draws.append(totals / (weights @ sizes.T + pseudo.sum(axis=2)))
    # Numbers of its own, so that draws of questions that are a cluster each, and of seeds, are those without it.
    found = mean_of_sets(np.concatenate(draws), clusters, rng.spawn(1)[0])
    return found.clip(min(extremes), max(extremes))


def _by_cluster(
    per_item: Sequence[NDArray[np.float64]], groups: Sequence[Sequence[Hashable] | None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the values and number of the questions of each cluster in each evaluation set."""
    codes: dict[Hashable, int] = {}
    coded = []
    for number, (values, named) in enumerate(zip(per_item, groups, strict=True)):
        names = [("item", number, k) if named is None else ("group", named[k]) for k in range(len(values))]
        coded.append(np.array([codes.setdefault(name, len(codes)) for name in names]))
    sums = np.zeros((len(per_item), len(codes)))
    sizes = np.zeros_like(sums)
    for number, (values, cluster) in enumerate(zip(per_item, coded, strict=True)):
        np.add.at(sums[number], cluster, values)
        np.add.at(sizes[number], cluster, 1.0)
    return sums, sizes


def _residual(targets: Sequence[NDArray[np.float64]]) -> float:
    """Variance that seeds' disagreement on single questions gives one run's mean over evaluation sets."""
    return sum(answer_variance(right) for right in targets) / len(targets) ** 2


def _seed_draws(
    by_seed: Sequence[NDArray[np.float64]],
    prior: SeedVariance,
    residuals: Sequence[float],
    rng: np.random.Generator,
    num_resamples: int,
) -> NDArray[np.float64]:
    """Draws of the training noise in the difference of the arms' means, [num_resamples].

    Args:
        by_seed: the accuracy of each seed, one array for each trained arm.
        prior: training noise that other arms show.
        residuals: the part of each arm's variance between seeds that the draws of questions hold already.
        rng: source of randomness.
        num_resamples: number of draws.
    """
    own = own_seed_variance(by_seed)
    found = moderated(own, prior)
    if found.freedom < 1:
        return np.zeros(num_resamples)
    borrowed = 1 - own.freedom / found.freedom
    variance = max(0.0, found.variance - borrowed * sum(residuals) / len(residuals))
    return _noise_draws(by_seed, SeedVariance(variance=variance, freedom=found.freedom), rng, num_resamples)


def _noise_draws(
    by_seed: Sequence[NDArray[np.float64]], found: SeedVariance, rng: np.random.Generator, num_resamples: int
) -> NDArray[np.float64]:
    if found.freedom < 1:
        return np.zeros(num_resamples)
    scale = np.sqrt(found.variance * sum(1 / len(arm) for arm in by_seed))
    noise: NDArray[np.float64] = scale * rng.standard_t(found.freedom, num_resamples)
    return noise


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, DRAWS_AT_ONCE):
        yield min(DRAWS_AT_ONCE, total - start)


def _two_sided(draws: NDArray[np.float64]) -> float:
    """Twice the smaller share of draws on one side of zero; never 0, which no number of draws can show."""
    return two_sided_p(min(int((draws <= 0).sum()), int((draws >= 0).sum())), len(draws))


def two_sided_p(num_beyond: int, num_draws: int) -> float:
    """The p-value of so many draws on the smaller side of zero, zero included."""
    return min(1.0, 2 * (num_beyond + 1) / (num_draws + 1))


def _standard_error(draws: NDArray[np.float64]) -> float:
    """From the 95 % width: the variance of Student's t with two degrees of freedom is infinite."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(high - low) / (2 * HALF_WIDTH_95)
