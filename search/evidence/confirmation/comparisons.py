"""A finalist against the comparators on one split: paired, and judged together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_spec.store.clusters import effective_clusters
from search.evidence.confirmation.training_cost import TrainingCost, cost_of
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.ledger.records import BASELINE_ARM, Record, control_arm, finished_of, of_arm, training_size
from search.seeds import derived_seed
from search.statistics.bootstrap import PairedDifference, mean_accuracy, paired_difference
from search.statistics.judgement import Judgement, judge
from search.statistics.simultaneous import Family, against_one_arm
from search.statistics.training_noise import (
    SeedVariance,
    answer_variance,
    moderated,
    own_seed_variance,
    seed_variance_prior,
)
from search.statistics.verdicts import ALPHA
from search.statistics.winners_curse import cross_fitted
from search.vocabulary import COMPARATORS, Stage

MEAN = "mean"
# Stages whose trials were scored to find compositions: their scores must not confirm what they found.
_SEARCHING = (Stage.search, Stage.single)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A finalist minus a comparator.

    Attributes:
        arm: the finalist.
        comparator: one of `COMPARATORS`.
        eval_set: a target, or `mean` over all targets.
        split: confirm or sealed.
        paired: the difference with its own interval.
        judgement: made together with all comparisons of the same kind of row (mean, or single targets), times the
            finalists it was chosen among.
    """

    arm: str
    comparator: str
    eval_set: str
    split: str
    paired: PairedDifference
    judgement: Judgement

    def as_dict(self) -> dict[str, Any]:
        """The entry of selection.json; `ci_low` and `ci_high` are of this comparison alone and decide nothing."""
        paired = self.paired
        return {
            "comparator": self.comparator,
            "eval_set": self.eval_set,
            "split": self.split,
            "difference": paired.difference,
            "ci_low": paired.ci_low,
            "ci_high": paired.ci_high,
            "p_value": paired.p_value,
            **self.judgement.as_dict(),
            "n": paired.n,
            "seeds": list(paired.num_seeds),
            "note": None if paired.has_seed_noise else "one seed an arm: training noise is unknown",
        }


class SplitEvidence:
    """What the finalists and the comparators scored on one split.

    Args:
        records: the ledger's trial records.
        outcomes: their per-question outcomes.
        targets: the evaluation sets of the objective.
        split: confirm or sealed.
        seed: of the resampling.
    """

    def __init__(
        self, records: Sequence[Record], outcomes: Outcomes, targets: Sequence[str], split: str, *, seed: int
    ) -> None:
        self._records = [record for record in records if record["stage"] not in _SEARCHING]
        self._outcomes = outcomes
        self._targets = tuple(targets)
        self.split = split
        self._seed = seed
        self._priors: dict[tuple[str, ...], SeedVariance] = {}
        self._arms: dict[tuple[str, str, str | None], ArmOutcomes | None] = {}

    def arm(self, name: str, target: str, *, matched_to: str | None = None) -> ArmOutcomes | None:
        """The outcomes of an arm on a target.

        Args:
            name: the arm; `control` stands for the target's own, `baseline` for the untrained backbone.
            target: the evaluation set.
            matched_to: controls count only if trained with this arm's number of samples, steps and recipe.
        """
        asked = (name, target, matched_to)
        if asked not in self._arms:
            self._arms[asked] = self._read_arm(name, target, matched_to)
        return self._arms[asked]

    def _read_arm(self, name: str, target: str, matched_to: str | None) -> ArmOutcomes | None:
        arm = control_arm(target) if name == "control" else name
        records = of_arm(self._records, arm)
        if name == "baseline":
            records = [record for record in self._records if record["stage"] == Stage.baseline] + records
        if name == "control" and matched_to is not None:
            sizes = {training_size(record) for record in of_arm(self._records, matched_to)}
            records = [record for record in records if training_size(record) in sizes]
        # The same weights may be scored on another split under another name: what counts is the training.
        train_ids = {record["train_id"] for record in records}
        same_weights = [record for record in self._records if record["train_id"] in train_ids]
        return self._outcomes.of_arm(same_weights, target, self.split)

    def arms(self, name: str, *, matched_to: str | None = None) -> dict[str, ArmOutcomes]:
        """The arm's outcomes by target, for the targets where it was scored."""
        found = {target: self.arm(name, target, matched_to=matched_to) for target in self._targets}
        return {target: arm for target, arm in found.items() if arm is not None}

    def accuracy(self, name: str) -> float | None:
        """Mean over all targets and seeds; None unless the arm was scored on every target."""
        arms = self.arms(name)
        if set(arms) != set(self._targets):
            return None
        return sum(float(arm.right.mean()) for arm in arms.values()) / len(arms)

    def cost(self, name: str) -> TrainingCost:
        """What one fine-tune of an arm costs that has finished at least once."""
        return cost_of(finished_of(of_arm(self._records, name))[0])

    def by_seed(self, name: str) -> NDArray[np.float64] | None:
        """Mean over all targets of each seed, [num_seeds]; None unless the arm was scored on every target."""
        arms = self.arms(name)
        if set(arms) != set(self._targets):
            return None
        trimmed = _same_number_of_seeds(list(arms.values()))
        return np.asarray(np.mean([arm.right.mean(axis=1) for arm in trimmed], axis=0))

    def num_tried(self, name: str) -> int:
        """Seeds that the arm was trained with, failed trials counted."""
        return len({record["seed"] for record in of_arm(self._records, name)})

    def arm_sizes(self, name: str) -> list[int]:
        """Number of questions of each target that the arm was scored on."""
        return [len(arm.sample_ids) for arm in self.arms(name).values()]

    def estimates(self, name: str, *, confidence: float = 1 - ALPHA) -> list[dict[str, Any]]:
        """The entries of selection.json: each target, then the mean over them when all were scored.

        `clusters` is as how many patients or images a target's questions count; None where these are not known.
        """
        arms = self.arms(name)
        places = {target: {target: arm} for target, arm in arms.items()}
        if set(arms) == set(self._targets):
            places[MEAN] = arms
        return [self._estimate(name, place, found, confidence) for place, found in places.items()]

    def _estimate(self, name: str, place: str, arms: dict[str, ArmOutcomes], confidence: float) -> dict[str, Any]:
        trimmed = _same_number_of_seeds(list(arms.values()))
        groups = [self._outcomes.groups_of(arm.sample_ids) for arm in trimmed]
        accuracy, interval = mean_accuracy(
            [arm.right for arm in trimmed],
            groups=groups,
            seed=derived_seed(self._seed, "estimate", name, place, self.split),
            is_trained=trimmed[0].is_trained,
            prior=self._prior(tuple(arms)),
            confidence=confidence,
        )
        return {
            "eval_set": place,
            "accuracy": accuracy,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "n": sum(len(arm.sample_ids) for arm in trimmed),
            "seeds": len(trimmed[0].seeds),
            "clusters": None
            if place == MEAN or groups[0] is None
            else effective_clusters([*Counter(groups[0]).values()]),
        }

    def cross_fitted(self, finalists: Sequence[str]) -> float | None:
        """Mean accuracy of the best finalist without the luck of the choice; None unless all were scored everywhere."""
        arms = {name: self.arms(name) for name in finalists}
        if not arms or any(set(found) != set(self._targets) for found in arms.values()):
            return None
        some = next(iter(arms.values()))
        return cross_fitted(
            {name: [arm.right for arm in found.values()] for name, found in arms.items()},
            groups=[self._outcomes.groups_of(arm.sample_ids) for arm in some.values()],
            seed=derived_seed(self._seed, "cross-fitted", self.split),
        )

    def training_shift(self, finalists: Sequence[str]) -> SeedVariance:
        """Variance by which one training run moves all answers together, as finalists and other arms show it."""
        by_seed, residuals = [], []
        for name in finalists:
            arms, values = self.arms(name), self.by_seed(name)
            if values is not None:
                trimmed = _same_number_of_seeds(list(arms.values()))
                by_seed.append(values)
                residuals.append(sum(answer_variance(arm.right) for arm in trimmed) / len(trimmed) ** 2)
        found = moderated(own_seed_variance(by_seed), self._prior(self._targets))
        if found.freedom < 1:
            return found
        return replace(found, variance=max(0.0, found.variance - sum(residuals) / len(residuals)))

    def comparisons(self, finalist: str, *, num_choices: int = 1, alpha: float = ALPHA) -> list[Comparison]:
        """The finalist against every comparator that was scored; the mean over targets and single targets.

        The means are judged together, and so are the single targets.

        Args:
            finalist: the arm that is compared.
            num_choices: among how many finalists it was chosen on this very split (see `judge`).
            alpha: chance of one false claim or more.
        """
        made = {
            (comparator, place): paired
            for comparator in COMPARATORS
            for place, paired in self._against(finalist, comparator).items()
        }
        found = []
        for family in ([at for at in made if at[1] == MEAN], [at for at in made if at[1] != MEAN]):
            together = _together({at: made[at] for at in family}, num_choices)
            for comparator, place in family:
                paired = made[comparator, place]
                found.append(
                    Comparison(
                        arm=finalist,
                        comparator=comparator,
                        eval_set=place,
                        split=self.split,
                        paired=paired,
                        judgement=judge(paired, together=together, alpha=alpha),
                    )
                )
        return found

    def _against(self, finalist: str, comparator: str) -> dict[str, PairedDifference]:
        mine, theirs = self.arms(finalist), self.arms(comparator, matched_to=finalist)
        both = {
            target: (mine[target], theirs[target]) for target in self._targets if target in mine and target in theirs
        }
        places = {target: {target: pair} for target, pair in both.items()}
        if set(both) == set(self._targets):
            places[MEAN] = both
        return {place: self._paired(pairs, (finalist, comparator, place)) for place, pairs in places.items()}

    def _paired(self, pairs: dict[str, tuple[ArmOutcomes, ArmOutcomes]], labels: tuple[str, ...]) -> PairedDifference:
        first = _same_number_of_seeds([pair[0] for pair in pairs.values()])
        second = _same_number_of_seeds([pair[1] for pair in pairs.values()])
        return paired_difference(
            [self._outcomes.paired(a, b, target) for a, b, target in zip(first, second, pairs, strict=True)],
            seed=derived_seed(self._seed, "comparison", self.split, *labels),
            first_is_trained=first[0].is_trained,
            second_is_trained=second[0].is_trained,
            prior=self._prior(tuple(pairs)),
        )

    def _prior(self, targets: tuple[str, ...]) -> SeedVariance:
        """Training noise of the mean over `targets`, as all trained arms of this split show it."""
        if targets not in self._priors:
            by_seed, num_items = [], 1
            for name in dict.fromkeys(str(record.get("arm")) for record in self._records):
                arms = {t: arm for t in targets if (arm := self._by_arm_name(name, t)) is not None}
                if set(arms) != set(targets) or not next(iter(arms.values())).is_trained:
                    continue
                trimmed = _same_number_of_seeds(list(arms.values()))
                by_seed.append(np.mean([arm.right.mean(axis=1) for arm in trimmed], axis=0))
                num_items = sum(len(arm.sample_ids) for arm in trimmed)
            self._priors[targets] = seed_variance_prior(by_seed, resolution=1 / num_items)
        return self._priors[targets]

    def _by_arm_name(self, name: str, target: str) -> ArmOutcomes | None:
        return self._outcomes.of_arm(of_arm(self._records, name), target, self.split)


def _together(made: Mapping[tuple[str, str], PairedDifference], num_choices: int) -> Family:
    """One finalist against all: what is compared at each place shares the finalist."""
    by_place: dict[str, list[int]] = {}
    for (comparator, place), paired in made.items():
        by_place.setdefault(place, []).append(0 if comparator == BASELINE_ARM else paired.num_seeds[1])
    num_seeds = max((paired.num_seeds[0] for paired in made.values()), default=1)
    return against_one_arm(num_seeds, list(by_place.values()), num_choices=num_choices)


def _same_number_of_seeds(arms: Sequence[ArmOutcomes]) -> list[ArmOutcomes]:
    """A mean over targets needs the same number of seeds on each: the fewest, counted from the lowest seed."""
    fewest = min(len(arm.seeds) for arm in arms)
    return [arm.keep_seeds(fewest) for arm in arms]
