from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Observation
from search.strategies.ranking import one_each, ranked
from search.vocabulary import Status

accuracies = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def observation(index: int, values: tuple[float, ...] | None) -> Observation:
    candidate = Candidate(Composition({"a": 1 + index}))
    return Observation(candidate=candidate, values=values, status=Status.finished, proposal_index=index)


def test_one_objective_ranks_by_value_then_by_proposal() -> None:
    found = ranked([observation(i, v) for i, v in enumerate([(0.2,), None, (0.7,), (0.7,), (0.1,)])])
    assert [o.proposal_index for o in found] == [2, 3, 0, 4]


def test_a_front_comes_before_what_it_dominates_even_if_that_has_a_higher_mean() -> None:
    found = ranked([observation(i, v) for i, v in enumerate([(0.5, 0.55), (1.0, 0.0), (0.6, 0.6)])])
    assert [o.proposal_index for o in found] == [2, 1, 0]


def test_a_candidate_with_several_results_has_their_mean_and_no_result_is_left_out_of_it() -> None:
    results = [observation(3, (0.5,)), observation(0, (0.7,)), observation(0, None), observation(0, (0.8,))]
    other, mean = one_each(results)
    assert (other, mean.values, mean.proposal_index) == (results[0], (0.75,), 0)
    assert one_each([observation(0, None), observation(0, None)]) == [observation(0, None)]


@given(st.lists(st.none() | st.tuples(accuracies, accuracies), max_size=12))
def test_nothing_ranked_is_dominated_by_something_later(values: list[tuple[float, float] | None]) -> None:
    found = ranked([observation(i, v) for i, v in enumerate(values)])
    assert sorted(o.proposal_index for o in found) == [i for i, v in enumerate(values) if v is not None]
    for place, earlier in enumerate(found):
        for later in found[place + 1 :]:
            assert earlier.values is not None
            assert later.values is not None
            better = [b - a for a, b in zip(earlier.values, later.values, strict=True)]
            assert not (min(better) >= 0 and max(better) > 0)


@given(st.lists(st.tuples(accuracies, accuracies), min_size=1, max_size=8), st.randoms())
def test_the_order_of_observations_does_not_matter(values: list[tuple[float, float]], random: Any) -> None:
    observations = [observation(i, v) for i, v in enumerate(values)]
    expected = ranked(observations)
    random.shuffle(observations)
    assert ranked(observations) == expected
