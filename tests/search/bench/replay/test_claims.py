"""Claims of the search are tests: they fail where they are not shown, and the command says so by its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.bench.known_truth.table import save_table
from search.bench.replay import claims
from search.bench.replay.claims import Part, judge
from search.bench.replay.replay import Pick
from search.cli.verbs import app
from tests.makers.made_table import made_table

NUM_TARGETS = 40


def picks(strategy: str, trials: int, regret: float) -> list[Pick]:
    """Regrets that spread by a point."""
    return [
        Pick(
            table="made", strategy=strategy, target=target, repetition=0, trials=trials, coverages=None,
            suggestion_s=0.0, regret=regret + (target % 2) - 0.5,
        )
        for target in range(NUM_TARGETS)
    ]  # fmt: skip


def one_by_one(*, greedy: float, random: float) -> list[bool]:
    """Whether each claim holds where the default's regret is 1."""
    made = [pick for n in (24, 48) for pick in picks("recombine", n, 1.0)]
    for name, regret in (("greedy", greedy), ("random", random), ("optuna-tpe", random)):
        # The others' luck is another one: targets do not cancel out.
        made += [pick for n in (24, 48) for pick in reversed(picks(name, n, regret))]
    return [figure.holds for figure in judge(Part.one_by_one, made)]


def test_a_claim_holds_only_where_its_bound_keeps_the_limit() -> None:
    assert one_by_one(greedy=1.0, random=2.0) == [True] * 6
    assert one_by_one(greedy=0.2, random=2.0) == [False, True, True] * 2
    assert one_by_one(greedy=1.0, random=0.9) == [True, False, False] * 2


def test_regret_of_one_size_is_held_against_its_aims() -> None:
    made = picks("recombine", 30, 0.1) + picks("recombine", 40, 0.24)
    assert [figure.holds for figure in judge(Part.four_of_twelve, made)] == [True, False]  # the mean alone is no proof
    with pytest.raises(UserError, match="no search came so far"):
        judge(Part.four_of_twelve, picks("recombine", 30, 0.1))


def test_an_equal_strategy_is_not_better() -> None:
    equal = [replace(pick, regret=1.0) for name in ("recombine", "greedy") for pick in picks(name, claims.POOL, 1.0)]
    each = [replace(p, trials=claims.POOL_EACH) if p.strategy == "greedy" else p for p in equal]
    (figure,) = judge(Part.one_pool, each)
    assert (figure.value, figure.bound, figure.holds) == (0.0, 0.0, False)


def test_targets_of_one_corpus_are_not_independent() -> None:
    """Four corpora whose targets agree are four observations, however many targets each has."""

    def bound(tables: Sequence[str]) -> float:
        made = [
            replace(pick, table=tables[pick.target % len(tables)], regret=0.2 * (pick.target % 4))
            for trials in claims.AIMS_OF_SIZE
            for pick in picks("recombine", trials, 0.0)
        ]
        return judge(Part.four_of_twelve, made)[0].bound

    assert bound(["a", "b", "c", "d"]) > bound(["one"]) + 0.05


def test_a_target_that_was_not_searched_far_enough_is_not_left_out() -> None:
    made = picks("recombine", claims.POOL, 1.0) + picks("greedy", claims.POOL_EACH, 2.0)
    assert judge(Part.one_pool, made)[0].holds
    with pytest.raises(UserError, match="for 1 of 40 targets: greedy, 4 trials"):
        judge(Part.one_pool, made[:-1])


@pytest.mark.parametrize(("pool", "each", "code"), [(14, 1, 0), (4, 12, 1)])
def test_the_command_fails_where_a_claim_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: int, each: int, code: int
) -> None:
    monkeypatch.setattr(claims, "POOL", pool)
    monkeypatch.setattr(claims, "POOL_EACH", each)
    table = made_table(num_sources=5, num_targets=4, num_items=4000, seed_noise=0.001)
    path = save_table(table, tmp_path / "made.npz")
    done = CliRunner().invoke(app, ["bench", "claims", "one-pool", "--table", str(path)])
    assert done.exit_code == code, done.output
    assert ("NO" in done.stdout) == bool(code)


def test_a_part_that_is_misspelt_is_answered() -> None:
    done = CliRunner().invoke(app, ["bench", "claims", "one-pol", "--table", "phantom"])
    assert "did you mean 'one-pool'" in str(done.exception)
