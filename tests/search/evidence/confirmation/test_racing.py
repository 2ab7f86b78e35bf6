"""Of a race the finalists that were given up are never recommended, and failed trials are no reason to give up."""

from __future__ import annotations

from search.evidence.confirmation.comparisons import SplitEvidence
from search.evidence.confirmation.racing import best_finalist, finalists_left
from search.evidence.outcomes import Outcomes
from tests.makers.records import MadeUpStudy

ARMS = ["finalist-1", "finalist-2", "finalist-3"]


def evidence(accuracies: dict[str, list[float | None]]) -> SplitEvidence:
    """One seed an entry; None for a trial that failed."""
    study = MadeUpStudy(seed_sd=0.02)
    for arm, by_seed in accuracies.items():
        for seed, accuracy in enumerate(by_seed):
            scored = {} if accuracy is None else {("t", "confirm"): accuracy}
            status = "failed" if accuracy is None else "finished"
            study.add("confirm", arm, {arm: 1}, scored, seed=seed, status=status)
    return SplitEvidence(study.records, Outcomes(study.load), ("t",), "confirm", seed=0)


def test_the_hopeless_are_given_up_and_stay_it() -> None:
    after_two = evidence({"finalist-1": [0.8, 0.8], "finalist-2": [0.3, 0.3], "finalist-3": [0.78, 0.8]})
    assert finalists_left(after_two, ARMS, 5) == ["finalist-1", "finalist-3"]
    after_three = evidence({"finalist-1": [0.8] * 3, "finalist-2": [0.3] * 2, "finalist-3": [0.78] * 3})
    assert "finalist-2" not in finalists_left(after_three, ARMS, 5)


def test_who_was_given_up_is_not_recommended_whatever_its_few_seeds_say() -> None:
    assert best_finalist(evidence({"finalist-1": [0.6] * 3, "finalist-2": [0.9] * 2}), ARMS[:2]) == "finalist-1"
    assert best_finalist(evidence({"finalist-1": [0.6] * 3, "finalist-2": [0.9, None, 0.9]}), ARMS[:2]) == "finalist-2"
    assert best_finalist(evidence({"finalist-1": [None, None]}), ARMS[:1]) is None


def test_with_failures_a_race_goes_on() -> None:
    assert finalists_left(evidence({"finalist-1": [None], "finalist-2": [None]}), ARMS[:2], 5) == ARMS[:2]
    after_two = evidence({"finalist-1": [0.8, None], "finalist-2": [0.78, 0.8]})
    assert finalists_left(after_two, ARMS[:2], 5) == ARMS[:2]
