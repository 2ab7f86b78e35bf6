"""The surrogate's strategy: its opening, its reasons, what it does with targets, keys, proxy and large spaces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasets_spec.catalog.keys import Key
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation, SearchContext
from search.strategies.random import RandomStrategy
from search.strategies.recombine import RecombineOptions, RecombineStrategy
from search.strategies.surrogate.acquisition import MAX_ENUMERATED
from search.vocabulary import Status

SOURCES = tuple("abcdefgh")
WORTH = {"a": 0.12, "b": 0.08, "c": 0.05, "g": -0.1, "h": -0.15}


def space(num_samples: tuple[int, ...] = (10,), *, rate: bool = False) -> SearchSpace:
    recipe = {"rate": {"kind": "log_uniform", "low": 0.001, "high": 0.1}} if rate else {}
    return SearchSpace(
        composition=CompositionSpace(sources=SOURCES, num_samples=num_samples, budget=8 * max(num_samples)),
        recipe=RecipeSpace.model_validate(recipe),
    )


def accuracy(candidate: Candidate) -> float:
    """Shares of good sources raise it, variety too; a learning rate of 0.02 is best."""
    composition = candidate.composition
    shared = sum(WORTH.get(s, 0) * n for s, n in composition.items()) / composition.total
    rate = abs(float(candidate.recipe.get("rate", 0.02)) - 0.02)
    return 0.6 + shared + 0.02 * min(len(composition), 3) - rate


def search(strategy: RecombineStrategy | RandomStrategy, num_trials: int) -> list[Observation]:
    history: list[Observation] = []
    for index in range(num_trials):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        value = (accuracy(suggestion.candidate),)
        history.append(
            Observation(candidate=suggestion.candidate, values=value, status=Status.finished, proposal_index=index)
        )
    return history


def best(history: list[Observation]) -> float:
    return max(o.values[0] for o in history if o.values)


def test_single_sources_come_first_then_everything() -> None:
    history = search(RecombineStrategy(space=space(), seed=0), 9)
    assert [o.candidate.composition.subsets for o in history] == [*((s,) for s in SOURCES), SOURCES]


def test_a_trial_on_a_targets_own_key_is_left_out_of_the_model() -> None:
    strategy = RecombineStrategy(space=space(), seed=0, context=keyed_context(proxy=False))
    history: list[Observation] = []
    for index in range(25):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        history.append(observed(suggestion.candidate, index))
    lost = replace(history[3], values=None, scores={"brains": 0.9})
    suggestion = strategy.ask([*history[:3], lost, *history[4:]], [])
    assert suggestion is not None
    assert "from 24 results" in suggestion.reason


def test_it_finds_what_chance_does_not() -> None:
    for recipe in (False, True):
        found = best(search(RecombineStrategy(space=space(rate=recipe), seed=1), 36))
        chance = max(best(search(RandomStrategy(space=space(rate=recipe), seed=s), 36)) for s in range(3))
        assert found > chance


def test_numbers_of_samples_are_part_of_the_model() -> None:
    history = search(RecombineStrategy(space=space((10, 20)), seed=1), 32)
    top = max(history, key=lambda o: accuracy(o.candidate)).candidate.composition
    assert top.get("a", 0) >= max(n for s, n in top.items())  # the best source has the largest share


def test_the_reason_says_what_is_expected_and_over_what() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    suggestion = strategy.ask(search(strategy, 24), [])
    assert suggestion is not None
    assert "expected to gain" in suggestion.reason
    assert "from 24 results" in suggestion.reason


def history_of(sizes: tuple[int, ...]) -> list[Observation]:
    """Trials of these numbers of subsets."""
    around = [*SOURCES, *SOURCES]
    made = [Candidate(Composition(dict.fromkeys(around[k : k + size], 10))) for size in sizes for k in range(8)]
    return [
        Observation(candidate=c, values=(accuracy(c),), status=Status.finished, proposal_index=i)
        for i, c in enumerate(made)
    ]


def test_a_prediction_for_a_size_that_was_not_tried_is_marked_in_every_reason() -> None:
    options = RecombineOptions(singles_first=False)
    strategy = RecombineStrategy(space=space(), seed=0, options=options)
    seen = {True: 0, False: 0}
    for sizes in ((1, 2, 3), (4, 5, 6), (6, 7)):
        history = history_of(sizes)
        for suggestion in (strategy.ask(history, []), strategy.recommend(history)):
            assert suggestion is not None
            is_new = len(suggestion.candidate.composition) not in sizes
            seen[is_new] += 1
            assert ("; extrapolation: no trial had" in suggestion.reason) == is_new
    assert min(seen.values()) > 0


def test_a_suggestion_carries_the_prediction_that_its_reason_shows() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    suggestion = strategy.ask(search(strategy, 24), [])
    assert suggestion is not None
    assert suggestion.predicted is not None
    assert f"predicted {suggestion.predicted.mean:.1%} ± {suggestion.predicted.deviation:.1%}" in suggestion.reason
    opening = strategy.ask([], [])
    assert opening is not None
    assert opening.predicted is None


def test_pending_trials_send_it_elsewhere() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    history = search(strategy, 26)
    pending: list[Candidate] = []
    for _ in range(4):
        suggestion = strategy.ask(history, pending)
        assert suggestion is not None
        assert suggestion.candidate not in pending
        pending.append(suggestion.candidate)


def keyed_context(proxy: bool, goal: str = "objective") -> SearchContext:
    areas = ("lung", "brain")
    keys = [Key(modality=f"m{i % 4}", area=areas[i % 2], task="t") for i in range(8)]
    return SearchContext(
        source_keys=dict(zip(SOURCES, keys, strict=True)),
        target_keys={
            "lungs": Key(modality="m9", area="lung", task="t"),
            "brains": Key(modality="m9", area="brain", task="t"),
        },
        num_items={"lungs": 200, "brains": 100},
        objectives=(("lungs", "brains"),),
        goal="each" if goal == "each" else "objective",
        proxy=(lambda c: {"lungs": target_score(c, 0), "brains": target_score(c, 1)}) if proxy else None,
    )


def target_score(composition: Composition, parity: int) -> float:
    """Sources of one area help one target and harm the other."""
    own = sum(n for s, n in composition.items() if SOURCES.index(s) % 2 == parity)
    return 0.5 + 0.3 * own / composition.total + 0.01 * len(composition) * (own == composition.total)


def observed(candidate: Candidate, index: int) -> Observation:
    scores = {"lungs": target_score(candidate.composition, 0), "brains": target_score(candidate.composition, 1)}
    return Observation(
        candidate=candidate, values=(sum(scores.values()) / 2,), status=Status.finished, proposal_index=index,
        scores=scores,
    )  # fmt: skip


@pytest.mark.parametrize("proxy", [False, True])
def test_each_target_gets_its_own_recommendation_from_one_pool(proxy: bool) -> None:
    strategy = RecombineStrategy(space=space(), seed=0, context=keyed_context(proxy, "each"))
    history: list[Observation] = []
    reasons = []
    for index in range(32):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        reasons.append(suggestion.reason)
        history.append(observed(suggestion.candidate, index))
    assert any("for lungs" in r for r in reasons)
    assert any("for brains" in r for r in reasons)
    assert any("merges" in r for r in reasons) == proxy
    for name, parity in (("lungs", 0), ("brains", 1)):
        found = strategy.recommend(history, target=name)
        assert found is not None
        assert {SOURCES.index(s) % 2 for s in found.candidate.composition} == {parity}


def test_known_singles_are_not_trained_again() -> None:
    singles = tuple(observed(Candidate(Composition({s: 10})), -1 - i) for i, s in enumerate(SOURCES))
    context = replace(keyed_context(proxy=False), known=singles)
    strategy = RecombineStrategy(space=space(), seed=0, context=context)
    history: list[Observation] = []
    for index in range(4):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        history.append(observed(suggestion.candidate, index))
    assert all(len(o.candidate.composition) > 1 for o in history)


def test_a_space_too_large_to_list_is_searched_near_what_is_good() -> None:
    sources = tuple(f"s{i:02d}" for i in range(53))
    large = SearchSpace(composition=CompositionSpace(sources=sources, num_samples=(10,), budget=530, max_size=12))
    count = large.count()
    assert count is not None
    assert count > MAX_ENUMERATED

    def value(candidate: Candidate) -> float:
        return sum(1.0 for s in candidate.composition if int(s[1:]) < 10) / (2 + len(candidate.composition))

    strategy = RecombineStrategy(space=large, seed=0, context=SearchContext(num_trials=24))
    history: list[Observation] = []
    for index in range(24):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        assert large.contains(suggestion.candidate)
        history.append(
            Observation(
                candidate=suggestion.candidate, values=(value(suggestion.candidate),), status=Status.finished,
                proposal_index=index,
            )
        )  # fmt: skip
    assert max(o.values[0] for o in history if o.values) > 0.5  # singles have 0.33, ten good ones 0.83
