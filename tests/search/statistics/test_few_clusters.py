"""Few patients tell little of others, and intervals over them are as wide as that."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from search.statistics.bootstrap import PairedItems, mean_accuracy, paired_difference
from search.statistics.few_clusters import mean_of_sets, pseudo_sizes, tell_nothing

NUM_QUESTIONS = 120


def covered(num_patients: int, num_sets: int, *, is_shared: bool = False, num_runs: int = 300) -> float:
    """Share of intervals that hold the mean of all patients there could be, who differ by 0.1 (standard deviation)."""
    patients = np.arange(NUM_QUESTIONS) * num_patients // NUM_QUESTIONS
    held = 0
    for run in range(num_runs):
        rng = np.random.default_rng(run)
        of_patient = rng.normal(size=(1 if is_shared else num_sets, 1, num_patients))
        chances = np.broadcast_to(0.6 + 0.1 * of_patient[..., patients], (num_sets, 1, NUM_QUESTIONS))
        rights = list((rng.random(chances.shape) < chances).astype(np.float64))
        sets = [0] * num_sets if is_shared else range(num_sets)
        groups = [[(number, patient) for patient in patients.tolist()] for number in sets]
        _, interval = mean_accuracy(rights, groups=groups, seed=run, is_trained=False, num_resamples=800)
        held += interval.low <= 0.6 <= interval.high
    return held / num_runs


@pytest.mark.parametrize(("num_patients", "num_sets"), [(3, 1), (5, 1), (8, 1), (3, 6), (5, 2)])
def test_intervals_over_few_patients_hold_what_they_say(num_patients: int, num_sets: int) -> None:
    # 95 % and two binomial standard errors of 300 runs; at three patients there is a little of `pseudo_sizes` in it.
    assert 0.925 <= covered(num_patients, num_sets) <= (0.985 if num_patients == 3 else 0.975)


def test_intervals_over_patients_that_sets_share_hold_what_they_say() -> None:
    assert 0.925 <= covered(5, 4, is_shared=True) <= 0.975


@pytest.mark.parametrize(
    ("num_patients", "chance", "alike"), [(3, 0.8, 1.0), (5, 0.8, 0.9), (8, 0.8, 1.0), (8, 0.95, 0.9)]
)
def test_intervals_hold_where_a_patients_questions_stand_or_fall_together(
    num_patients: int, chance: float, alike: float
) -> None:
    patients = np.arange(NUM_QUESTIONS) * num_patients // NUM_QUESTIONS
    held = 0
    for run in range(300):
        rng = np.random.default_rng(run)
        of_patient, of_question = rng.random(num_patients) < chance, rng.random(NUM_QUESTIONS) < chance
        right = np.where(rng.random(NUM_QUESTIONS) < alike, of_patient[patients], of_question)[None].astype(np.float64)
        _, interval = mean_accuracy([right], groups=[patients.tolist()], seed=run, is_trained=False, num_resamples=800)
        held += interval.low <= chance <= interval.high
    assert held / 300 >= 0.925


def test_three_patients_who_change_throughout_are_three() -> None:
    patients = [k // 40 for k in range(NUM_QUESTIONS)]
    items = PairedItems(first=np.ones((1, NUM_QUESTIONS)), second=np.zeros((1, NUM_QUESTIONS)), groups=patients)
    found = paired_difference([items], seed=0, first_is_trained=False, second_is_trained=False)
    assert found.ci_low < 0 < found.ci_high
    assert found.p_value > 0.125  # the chance that three coins agree, halved: what no test of three patients goes below


def test_pseudo_questions_are_questions_unless_nearly_all_of_few_patients_agree() -> None:
    def size(sums: list[float], sizes: list[float], extremes: tuple[float, float] = (1.0, 0.0)) -> float:
        return float(pseudo_sizes(np.array([sums]), np.array([sizes]), extremes)[0])

    assert size([1.0] * 50, [1.0] * 50) == 1  # no patients
    assert size([40.0, 40.0, 0.0], [40.0, 40.0, 40.0]) == 1
    assert size([40.0, 40.0, 20.0], [40.0, 40.0, 40.0]) == pytest.approx(20.5)
    assert size([40.0, 40.0, 40.0], [40.0, 40.0, 40.0]) == 40
    assert size([0.0, 0.0, 0.0], [40.0, 40.0, 40.0], (1.0, -1.0)) == 1  # arms that differ in nothing
    assert size([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]) == 1  # a set that tells nothing


def test_one_question_of_a_patient_whom_another_set_shares_is_no_division_by_zero() -> None:
    asked = [["p"], [name for name in "pqr" for _ in range(40)]]
    rights = [np.ones((1, len(groups))) for groups in asked]
    for some in ([0, 1], [0, 0]):
        sets = [rights[number] for number in some]
        _, interval = mean_accuracy(sets, groups=[asked[number] for number in some], seed=0, is_trained=False)
        assert interval.low < interval.high == 1


@pytest.mark.parametrize("num_clusters", [3, 5, 41])
def test_draws_get_students_tails_and_the_variance_that_few_clusters_hide(num_clusters: int) -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.2, 0.01, (200_000, 1))
    found = mean_of_sets(draws, np.full((1, num_clusters), 7.0), rng)
    half = t.ppf(0.975, num_clusters - 1) * 0.01 * ((num_clusters + 1) / (num_clusters - 1)) ** 0.5
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx([0.2 - half, 0.2 + half], abs=0.03 * half)


def test_questions_of_a_patient_each_keep_their_figures() -> None:
    right = (np.random.default_rng(1).random((2, 3, 50)) < 0.6).astype(np.float64)
    alone, named = (
        paired_difference([PairedItems(first=right[0], second=right[1], groups=groups)], seed=2)
        for groups in (None, [f"patient {k}" for k in range(50)])
    )
    assert named.draws.tolist() == alone.draws.tolist()


def test_patients_that_two_sets_share_are_no_more_of_them() -> None:
    rng = np.random.default_rng(3)
    difference = np.repeat(rng.normal(0.2, 0.1, 5), 20)
    first, second = np.clip(0.5 + difference, 0, 1)[None], np.full((1, 100), 0.5)

    def width(*names: str) -> float:
        sets = [PairedItems(first=first, second=second, groups=[f"{n}{k // 20}" for k in range(100)]) for n in names]
        found = paired_difference(sets, seed=0, first_is_trained=False, second_is_trained=False)
        return found.ci_high - found.ci_low

    assert width("a", "a") == pytest.approx(width("a"), rel=0.1)
    # Twice as many patients have twice the degrees of freedom: 2.31 for 2.78, by the square root of two.
    assert width("a", "b") == pytest.approx(width("a") * 2.31 / 2.78 / 2**0.5, rel=0.1)


def test_two_patients_tell_nothing_and_two_questions_are_two() -> None:
    assert tell_nothing(np.array([[30.0, 30.0, 0.0], [30.0, 3.0, 2.0], [9.0, 9.0, 9.0]])).tolist() == [
        True,
        True,
        False,
    ]
    assert tell_nothing(np.array([[1.0, 1.0, 0.0]])).tolist() == [False]
