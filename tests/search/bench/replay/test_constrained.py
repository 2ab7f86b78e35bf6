"""Searches with constraints, and with sources of uneven size, on a made table."""

from __future__ import annotations

from dataclasses import replace

from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.constrained import compare_constrained
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.uneven_sources import compare_uneven
from tests.makers.made_table import made_table


def opposed_table() -> KnownTruthTable:
    """What helps the first target harms the two others as much."""
    table = made_table(num_sources=6, num_targets=3, num_seeds=4, num_items=2000, proxy_noise=None)
    val, test = table.val.copy(), table.test.copy()
    for scores in (val, test):
        scores[..., 1:] = 1 - scores[..., :1]
    return replace(table, val=val, test=test)


def test_told_and_untold_searches_are_judged_by_the_same_constraints() -> None:
    untold, told = compare_constrained([opposed_table()], num_trials=14, every_target=3)
    assert (untold.way, told.way) == ("not told", "told")
    assert untold.num_targets == told.num_targets == 1
    assert untold.kept == 0, "the best for the first target is the worst for the others"
    assert told.shortfall < untold.shortfall / 2
    assert told.regret > untold.regret, "what keeps the constraints costs points on the target"


def test_uneven_sources_give_all_that_they_have_and_reach_the_same_rows() -> None:
    table = made_table(num_sources=4, num_targets=2, num_seeds=3, num_items=2000)
    problem = ReplayProblem(table, target=0, uneven=True)
    space = problem.space.composition
    assert {len(space.grid_of(source)) for source in space.allowed} == {1}
    assert len({space.grid_of(source) for source in space.allowed}) == 4
    for row in problem.candidate_rows:
        candidate = problem.candidate_of(int(row))
        assert space.contains(candidate.composition)
        assert problem.row_of(candidate) == row
    figure = compare_uneven([table], num_trials=10, every_target=1)
    assert figure.num_targets == 2
    assert abs(figure.added - figure.uneven + figure.equal) < 1e-9
