"""A second training of the likeliest candidates: counted among the trials, and judged by a seed that nobody saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from datasets_spec.errors import UserError
from search.bench.replay import replicates
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.replicates import compare_replicates
from search.space.candidate import Candidate
from search.strategies.interface import Observation
from tests.makers.made_table import made_table


def test_without_training_noise_replicates_only_cost_new_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, str, int]] = []  # target, candidate, seed

    def result(problem: ReplayProblem, candidate: Candidate, index: int, seed: int) -> Observation:
        assert problem.target is not None
        trained.append((problem.target, candidate.identity, seed))
        return train(problem, candidate, index, seed)

    train = replicates._result
    monkeypatch.setattr(replicates, "_result", result)
    table = made_table(num_sources=4, num_targets=2, num_seeds=3, num_items=100_000, seed_noise=0.0)
    same = replace(table, val=np.repeat(table.val[:1], 3, axis=0), test=np.repeat(table.test[:1], 3, axis=0))
    figures = compare_replicates([same], num_trials=10, replicates=[3], every_target=1)
    assert [figure.num_replicates for figure in figures] == [0, 3]
    assert figures[0].added == 0
    assert figures[1].added >= -0.5
    again = [(target, candidate) for target, candidate, seed in trained if seed == replicates.SECOND]
    assert Counter(target for target, _ in again) == {0: 3, 1: 3}
    assert len(set(again)) == len(again)  # each of another candidate, that was trained before
    assert set(again) <= {(target, candidate) for target, candidate, seed in trained if seed == replicates.SEEN}


def test_two_seeds_are_too_few_to_judge_by() -> None:
    with pytest.raises(UserError, match="has 2 seeds"):
        compare_replicates([made_table(num_seeds=2)], num_trials=10, replicates=[3], every_target=1)
