"""Searches with constraints, and with sources of uneven size, on a made table."""

from __future__ import annotations

from search.bench.replay.constrained import compare_constrained
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.uneven_sources import compare_uneven
from tests.makers.made_table import made_table


def test_told_and_untold_searches_are_judged_by_the_same_constraints() -> None:
    table = made_table(num_sources=6, num_targets=3, num_seeds=4, num_items=2000)
    untold, told = compare_constrained([table], num_trials=14, every_target=2)
    assert (untold.way, told.way) == ("not told", "told")
    assert untold.num_targets == told.num_targets >= 1
    assert told.kept >= untold.kept
    assert told.shortfall <= untold.shortfall


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
