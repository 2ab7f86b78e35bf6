"""Optuna's TPE behind the interface."""

from __future__ import annotations

import dataclasses
import statistics

import optuna

from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation, Strategy
from search.strategies.optuna_tpe import OptunaTpeStrategy
from search.strategies.random import RandomStrategy
from search.vocabulary import Status

SOURCES = tuple("abcdefgh")


def space() -> SearchSpace:
    return SearchSpace(
        composition=CompositionSpace(sources=SOURCES, num_samples=(10, 20), budget=80),
        recipe=RecipeSpace.model_validate({"rate": {"kind": "log_uniform", "low": 0.001, "high": 0.1}}),
    )


def benefit(candidate: Candidate) -> float:
    """Three sources help, two harm, and the learning rate has an optimum inside its range."""
    worth = {"a": 3, "b": 2, "c": 1, "g": -2, "h": -3}
    return (
        sum(worth.get(s, 0) * n for s, n in candidate.composition.items())
        - abs(float(candidate.recipe["rate"]) - 0.02) * 100
    )


def best_after(strategy: Strategy, num_trials: int) -> float:
    history: list[Observation] = []
    for index in range(num_trials):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        value = (benefit(suggestion.candidate),)
        history.append(
            Observation(candidate=suggestion.candidate, values=value, status=Status.finished, proposal_index=index)
        )
    return max(o.values[0] for o in history if o.values)


def test_it_learns() -> None:
    tpe = [best_after(OptunaTpeStrategy(space=space(), seed=s), 40) for s in range(3)]
    chance = [best_after(RandomStrategy(space=space(), seed=s), 40) for s in range(3)]
    assert statistics.mean(tpe) > statistics.mean(chance) + 5


def history_of(values: list[float | None]) -> list[Observation]:
    strategy = RandomStrategy(space=space(), seed=0)
    made: list[Observation] = []
    for index, value in enumerate(values):
        suggestion = strategy.ask(made, [])
        assert suggestion is not None
        made.append(
            Observation(
                candidate=suggestion.candidate,
                values=None if value is None else (value,),
                status=Status.failed if value is None else Status.finished,
                proposal_index=index,
            )
        )
    return made


def test_pending_trials_push_new_ones_away() -> None:
    strategy = OptunaTpeStrategy(space=space(), seed=0)
    history = history_of([float(i % 7) for i in range(20)])
    pending: list[Candidate] = []
    for _ in range(8):
        suggestion = strategy.ask(history, pending)
        assert suggestion is not None
        assert "20 results" in suggestion.reason
        pending.append(suggestion.candidate)
    assert len({c.composition for c in pending}) >= 7


def test_failed_and_non_finite_results_teach_nothing() -> None:
    finished = history_of([float(i) for i in range(15)])
    nothing = history_of([None] * 15)
    strategy = OptunaTpeStrategy(space=space(), seed=0)
    suggestion = strategy.ask(nothing, [])
    assert suggestion is not None
    assert suggestion.reason == "random start: 0 of 10 results are in"
    suggestion = strategy.ask(finished, [])
    assert suggestion is not None
    assert suggestion.reason.startswith("TPE after 15 results")


def test_what_optuna_is_told() -> None:
    history = history_of([0.5, None, float("nan"), 0.7])
    stopped = dataclasses.replace(history[3], status=Status.stopped_early)
    told = OptunaTpeStrategy(space=space(), seed=0)._told([*history[:3], stopped], [history[0].candidate])
    states = optuna.trial.TrialState
    assert [t.state for t in told] == [states.COMPLETE, states.FAIL, states.FAIL, states.FAIL, states.RUNNING]
    assert told[0].values == [0.5]
    assert {n for n, v in told[0].params.items() if v} - {"recipe rate"} == {
        f"samples of {s}" for s in history[0].candidate.composition
    }


def test_the_order_in_which_results_arrive_is_no_matter() -> None:
    history = history_of([float(i % 5) for i in range(14)])
    strategy = OptunaTpeStrategy(space=space(), seed=3)
    assert strategy.ask(history, []) == strategy.ask(history[::-1], [])


def test_repairs_and_repeats_are_said() -> None:
    tight = SearchSpace(composition=CompositionSpace(sources=("a", "b", "c", "d"), num_samples=(1,), budget=1))
    listed = list(tight.enumerate())
    three = [
        Observation(candidate=c, values=(1.0,), status=Status.finished, proposal_index=i)
        for i, c in enumerate((listed[:3] * 4)[:12])
    ]
    suggestion = OptunaTpeStrategy(space=tight, seed=0).ask(three, [])
    assert suggestion is not None
    assert suggestion.candidate.composition == Composition({"d": 1})
    assert "repaired" in suggestion.reason or "known candidates" in suggestion.reason


def test_optuna_is_silent_and_left_as_it_was() -> None:
    before = optuna.logging.get_verbosity()
    OptunaTpeStrategy(space=space(), seed=0).ask(history_of([1.0] * 12), [])
    assert optuna.logging.get_verbosity() == before


def test_a_large_study_is_answered() -> None:
    sources = tuple(f"s{i}" for i in range(53))
    large = SearchSpace(composition=CompositionSpace(sources=sources, num_samples=(250, 500), budget=5000, max_size=12))
    draw = RandomStrategy(space=large, seed=0)
    history: list[Observation] = []
    for index in range(100):
        suggestion = draw.ask(history, [])
        assert suggestion is not None
        history.append(
            Observation(
                candidate=suggestion.candidate,
                values=(index % 9,),
                status=Status.finished,
                proposal_index=index,
            )
        )
    assert OptunaTpeStrategy(space=large, seed=0).ask(history, []) is not None
