"""The numbers of a next step are enough, and never fewer than what did not suffice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.evidence.finding.prospects import WORTH_SEEING, Prospects
from search.statistics.power import MOST_SEEDS, Noise, detectable, expected_gain, trial_noise


def prospects(
    *, shift_sd: float = 0.02, num_seeds: int = 3, num_questions: int = 150, worth_sd: float | None = 0.04
) -> Prospects:
    return Prospects(
        noise=Noise(shift_sd=shift_sd, pairing=0.3, num_arms=4), worth_sd=worth_sd, num_trials=24,
        num_search_questions=130, num_targets=2, num_seeds=num_seeds, num_questions=num_questions, num_comparisons=5,
    )  # fmt: skip


@given(st.floats(0, 0.06), st.integers(2, 5), st.integers(50, 2000), st.floats(WORTH_SEEING, 0.2))
def test_what_is_asked_for_is_more_than_there_is(shift_sd: float, seeds: int, questions: int, now_seen: float) -> None:
    found = prospects(shift_sd=shift_sd, num_seeds=seeds, num_questions=questions)
    more_questions, more_seeds = found.questions_to_see(now_seen=now_seen), found.seeds_to_see(now_seen=now_seen)
    assert more_questions is None or more_questions >= questions
    assert more_seeds is None or seeds <= more_seeds <= MOST_SEEDS


@given(st.floats(0, 0.08), st.integers(1, 4))
def test_both_together_see_it(shift_sd: float, num_seeds: int) -> None:
    found = prospects(shift_sd=shift_sd, num_seeds=num_seeds)
    both = found.both_to_see()
    if both is not None:
        seen = detectable(found.noise, num_seeds=both[0], num_questions=both[1], num_targets=2, num_comparisons=5)
        assert seen.difference <= WORTH_SEEING


def test_one_target_is_judged_alone() -> None:
    alone = prospects().on_one_target
    assert (alone.num_targets, alone.num_comparisons) == (1, 1)


def test_trials_that_gain_more_are_more_trials_or_none() -> None:
    found = prospects()
    number = found.trials_to_gain(0.01)
    assert number is not None
    assert number > found.num_trials
    noise_sd = trial_noise(found.noise, num_questions=130, num_targets=2)
    gains = [expected_gain(n, worth_sd=0.04, noise_sd=noise_sd) for n in (24, number)]
    assert gains[1] - gains[0] >= 0.01
    assert found.trials_to_gain(0.5) is None
    assert prospects(worth_sd=None).has_spread
    assert not prospects(worth_sd=0.0).has_spread
