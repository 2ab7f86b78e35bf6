"""A search that must keep another score: what breaks it is not proposed for long, and not recommended."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from datasets_spec.catalog.keys import Key
from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.strategies.interface import Observation, SearchContext
from search.strategies.recombine import RecombineStrategy
from search.strategies.surrogate.feasibility import Constraint, is_kept, log_feasibility
from search.strategies.surrogate.gaussian_process import Prediction
from search.vocabulary import Status

SPACE = SearchSpace(composition=CompositionSpace(sources=tuple("abcdef"), num_samples=(10,), budget=60))
GOAL, KEPT = "goal", "kept"
KEYS = {
    GOAL: Key(modality="CT", area="lung", task="nodule"),
    KEPT: Key(modality="MR", area="brain", task="tumor"),
}


def scores_of(candidate: Candidate) -> dict[str, float]:
    """Source `a` is the best there is for the goal, and harms what must be kept; `b` helps and harms nothing."""
    share = {source: count / candidate.composition.total for source, count in candidate.composition.items()}
    goal = 0.4 + 0.3 * share.get("a", 0) + 0.2 * share.get("b", 0)
    return {GOAL: goal, KEPT: 0.8 - 0.6 * share.get("a", 0) - 0.05 * share.get("c", 0)}


def strategy_of(least: dict[str, float]) -> RecombineStrategy:
    context = SearchContext(
        target_keys=KEYS, num_items={GOAL: 400, KEPT: 400}, objectives=((GOAL,),), num_trials=24, least=least
    )
    return RecombineStrategy(space=SPACE, seed=0, context=context)


def search(strategy: RecombineStrategy, num_trials: int = 24) -> tuple[list[Observation], list[str]]:
    history: list[Observation] = []
    reasons: list[str] = []
    for index in range(num_trials):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        scores = scores_of(suggestion.candidate)
        reasons.append(suggestion.reason)
        history.append(
            Observation(
                candidate=suggestion.candidate,
                values=(scores[GOAL],),
                status=Status.finished,
                proposal_index=index,
                scores=scores,
            )
        )
    return history, reasons


def test_what_breaks_a_constraint_is_neither_proposed_for_long_nor_recommended() -> None:
    free, told = strategy_of({}), strategy_of({KEPT: 0.75})
    without, free_reasons = search(free)
    assert not any("constraint" in reason for reason in free_reasons)
    history, reasons = search(told)
    picked, picked_free = told.recommend(history), free.recommend(without)
    assert picked is not None
    assert picked_free is not None
    assert "a" in picked_free.candidate.composition
    assert scores_of(picked.candidate)[KEPT] >= 0.75
    assert "b" in picked.candidate.composition
    assert "of those expected to keep all constraints" in picked.reason
    chosen = [o for o, reason in zip(history, reasons, strict=True) if "likely to keep every constraint" in reason]
    assert chosen, "the model has proposed some"
    assert sum("a" in o.candidate.composition for o in chosen) <= len(chosen) / 3


def test_where_nothing_keeps_a_constraint_the_likeliest_is_tried_and_it_is_said() -> None:
    strategy = strategy_of({KEPT: 0.9})
    history, reasons = search(strategy)
    assert any("no trial is expected to keep every constraint" in reason for reason in reasons)
    picked = strategy.recommend(history)
    assert picked is not None
    assert "none is expected to keep every constraint" in picked.reason


def test_a_result_without_a_kept_score_does_not_switch_its_constraint_off() -> None:
    strategy = strategy_of({KEPT: 0.75})
    history, _ = search(strategy, num_trials=14)
    blind = [replace(o, scores={GOAL: (o.scores or {})[GOAL]}) for o in history]
    told = strategy.ask([*history[:3], blind[3], *history[4:]], [])
    assert told is not None
    assert "likely to keep every constraint" in told.reason
    assert "not weighed" not in told.reason
    untold = strategy.ask([*blind[:12], *history[12:]], [])
    assert untold is not None
    assert "not weighed, for too few results say it: the constraints on kept" in untold.reason


def test_feasibility_is_the_product_of_each_constraint_s() -> None:
    found = Prediction(mean=np.array([0.5, 0.7]), deviation=np.array([0.1, 0.05]))
    constraints = [Constraint(weights=np.ones(1), least=0.6), Constraint(weights=np.ones(1), least=0.4)]
    both = np.exp(log_feasibility(lambda weights: found, constraints))
    expected = [norm.cdf(-1) * norm.cdf(1), norm.cdf(2) * norm.cdf(6)]
    assert both.tolist() == pytest.approx(expected)
    assert is_kept(lambda weights: found, constraints).tolist() == [False, True]
    hopeless = log_feasibility(lambda weights: found, [Constraint(weights=np.ones(1), least=1e6)])
    assert math.isfinite(float(np.asarray(hopeless)[0]))
