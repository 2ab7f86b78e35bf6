"""Replays on tables whose truth is a formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.full_information import full_information
from search.bench.replay.many_replays import build_for
from search.bench.replay.problem import Disturbance, ReplayProblem
from search.bench.replay.regret import regret_contrast, summarise_regrets, target_interval, untried_share
from search.bench.replay.replay import Pick, picked_row, replay
from search.strategies.interface import Observation
from tests.makers.made_table import made_table


def picks_of(
    table: KnownTruthTable, strategy: str, *, trials: int = 16, disturbance: Disturbance | None = None
) -> list[Pick]:
    found: list[Pick] = []
    for target in range(table.num_targets):
        problem = ReplayProblem(table, target=target, disturbance=disturbance)
        built = build_for(problem, strategy, 0)
        found += replay(problem, built, label=strategy, repetition=0, checkpoints=(trials,))
    return found


def mean_regret(picks: list[Pick]) -> float:
    return float(np.mean([pick.regret for pick in picks]))


@pytest.fixture(scope="module")
def table() -> KnownTruthTable:
    return made_table(num_sources=7, num_targets=4, seed=3)


def test_regret_is_measured_on_fresh_seeds_and_questions(table: KnownTruthTable) -> None:
    problem = ReplayProblem(table, target=1)
    fresh = table.test[2:].mean(0)[:, 1]
    best = np.argsort(-table.test[:2].mean(0)[:, 1], kind="stable")[:5]
    for row in (0, 100):
        assert problem.regret(row, 1) == pytest.approx(100 * (fresh[best].mean() - fresh[row]))
    assert np.mean([problem.regret(int(row), 1) for row in best]) == pytest.approx(0)


def test_a_trial_shows_one_seed_of_the_first_half_to_every_strategy_alike(table: KnownTruthTable) -> None:
    problem = ReplayProblem(table, target=2)
    shown = problem.observe(problem.candidate_of(40), 0, repetition=5)
    assert shown.values == ReplayProblem(table, target=2).observe(problem.candidate_of(40), 9, 5).values
    assert shown.values is not None
    assert shown.values[0] in table.val[:2, 40, 2]
    assert {problem.seed_of(row, 0) for row in range(50)} == {0, 1}


def test_recombine_beats_random(table: KnownTruthTable) -> None:
    """Over three tables: with four targets a single one is mostly luck."""
    tables = [table, *(made_table(f"made-{seed}", num_sources=7, seed=seed) for seed in (0, 2))]
    means = {
        strategy: np.mean([mean_regret(picks_of(made, strategy, trials=12)) for made in tables])
        for strategy in ("random", "recombine")
    }
    assert means["recombine"] < means["random"] - 0.5


def test_a_poisoned_source_is_left_out() -> None:
    table = made_table(num_sources=6, poisoned=2, seed=1)
    for target in range(table.num_targets):
        problem = ReplayProblem(table, target=target)
        strategy = build_for(problem, "recombine", 0)
        results: list[Observation] = []
        for index in range(16):
            suggestion = strategy.ask(results, [])
            assert suggestion is not None
            results.append(problem.observe(suggestion.candidate, index, 0))
        row = picked_row(problem, strategy, results, target)
        assert row is not None
        assert not table.subsets[row, 2]


def test_failures_and_delays_and_a_useless_proxy_are_survived(table: KnownTruthTable) -> None:
    chance = mean_regret(picks_of(table, "random"))
    for disturbance in (Disturbance(fail_share=0.2), Disturbance(delay=4), Disturbance(shuffle_proxy=True)):
        picks = picks_of(table, "recombine", trials=20, disturbance=disturbance)
        assert [pick.trials for pick in picks] == [20] * table.num_targets
        assert mean_regret(picks) < chance


def test_identical_sources_leave_nothing_to_find() -> None:
    table = made_table(is_null=True, seed=2, seed_noise=0.01)
    for strategy in ("recombine", "random", "metadata"):
        assert abs(mean_regret(picks_of(table, strategy))) < 1.0


def test_all_targets_share_one_pool(table: KnownTruthTable) -> None:
    problem = ReplayProblem(table, target=None)
    picks = replay(problem, build_for(problem, "recombine", 0), label="r", repetition=0, checkpoints=(24,))
    assert [pick.target for pick in picks] == list(range(table.num_targets))
    assert mean_regret(picks) < 5


def test_without_labels_nothing_of_the_target_is_seen_and_relatives_are_gone_by(table: KnownTruthTable) -> None:
    problem = ReplayProblem(table, target=1, labelled=False)
    shown = problem.observe(problem.candidate_of(7), 0, 0)
    assert shown.scores is not None
    assert "target-01" not in shown.scores
    context = problem.context(0)
    assert context.objectives == (("target-00", "target-02", "target-03"),)
    assert context.proxy is not None
    assert "target-01" not in (context.proxy(problem.candidate_of(7).composition) or {})
    picks = replay(problem, build_for(problem, "recombine", 0), label="r", repetition=0, checkpoints=(16,))
    assert picks[0].coverages is None


def test_only_compositions_of_a_size_with_singles_counted(table: KnownTruthTable) -> None:
    problem = ReplayProblem(table, target=0, size=3)
    assert len(problem.candidate_rows) == 35
    picks = replay(problem, build_for(problem, "recombine", 0), label="r", repetition=0, checkpoints=(7, 12))
    assert [pick.trials for pick in picks] == [12]  # seven singles are known before the first proposal


def test_compositions_that_a_table_lacks_cost_nothing(table: KnownTruthTable) -> None:
    some = np.arange(0, 127, 2)
    half = replace(
        table,
        subsets=table.subsets[some],
        val=table.val[:, some],
        test=table.test[:, some],
        proxy=None,
    )
    picks = picks_of(half, "random", trials=16)
    assert [pick.trials for pick in picks] == [16] * 4


def test_full_information_leaves_little_and_smoothing_helps() -> None:
    best_seen, smoothed = [], []
    for seed in range(6):
        noisy = made_table(num_sources=7, seed_noise=0.08, seed=seed)
        found = full_information(ReplayProblem(noisy, target=None), 0)
        best_seen += list(found.best_seen.values())
        smoothed += list(found.smoothed.values())
    assert np.mean(smoothed) < np.mean(best_seen)
    assert np.mean(smoothed) < 3


def test_intervals_cover_what_they_should() -> None:
    wide = made_table(num_sources=7, num_targets=5, seed=5, num_items=2000)
    share = untried_share(picks_of(wide, "recombine", trials=24))
    assert share is not None
    assert 0.75 < share <= 1.0


def pick(strategy: str, target: int, regret: float, repetition: int = 0) -> Pick:
    return Pick(
        table="t", strategy=strategy, target=target, repetition=repetition, trials=16, regret=regret, coverages=None,
        suggestion_s=0.1,
    )  # fmt: skip


def test_figures_average_repetitions_first_and_pair_targets() -> None:
    picks = [pick("a", 0, 1.0), pick("a", 0, 3.0, 1), pick("a", 1, 0.5), pick("b", 0, 4.0), pick("b", 1, 2.5)]
    full = {("t", name, target): 0.25 for name in "ab" for target in (0, 1)}
    figure = summarise_regrets(picks, full)[0]
    assert figure.regret_mean == 1.25
    assert figure.p_within_1 == pytest.approx(2 / 3)
    assert figure.full_information_regret == 0.25
    assert set(figure.as_json()) == {
        "table", "strategy", "trials", "regret_mean", "regret_ci_low", "regret_ci_high", "p_within_1",
        "full_information_regret", "interval_coverage", "coverage", "suggestion_s",
    }  # fmt: skip
    found = regret_contrast(picks, "a", 16, "b", 16)
    assert found is not None
    assert (found.difference, found.interval.low, found.interval.high) == (2.0, 2.0, 2.0)
    assert regret_contrast(picks, "a", 16, "c", 16) is None


def test_the_interval_of_a_mean_of_clusters_has_about_the_right_width() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, size=100)
    interval = target_interval(values)
    assert interval.low < values.mean() < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 10, rel=0.2)
