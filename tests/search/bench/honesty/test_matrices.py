"""Simulated matrices: what is pointed out is there, also where training noise is large."""

from __future__ import annotations

import pytest

from search.bench.honesty.matrices import NUM_SOURCES, NUM_TARGETS, MatrixResult, run_matrix
from search.bench.honesty.matrix_figures import measure_matrices

MATRICES = 12


def results(seed_sd: float, *, has_signal: bool) -> list[MatrixResult]:
    return [run_matrix(seed, seed_sd=seed_sd, has_signal=has_signal) for seed in range(MATRICES)]


def test_a_matrix_is_a_pure_function_of_its_seed() -> None:
    once = run_matrix(3, seed_sd=0.028, has_signal=True)
    assert once == run_matrix(3, seed_sd=0.028, has_signal=True)
    assert once.num_cells == NUM_SOURCES * NUM_TARGETS
    assert once.num_helped == once.num_cells // 3


def test_training_noise_alone_makes_no_discoveries() -> None:
    found = results(0.107, has_signal=False)
    assert sum(result.num_found > 0 for result in found) <= 3  # 1.2 are expected at most
    assert sum(r.num_covered for r in found) >= 0.9 * sum(r.num_cells for r in found)


def test_what_is_there_is_found_where_noise_allows() -> None:
    quiet, loud = results(0.0, has_signal=True), results(0.107, has_signal=True)
    assert sum(r.num_right for r in quiet) > 0.7 * sum(r.num_helped for r in quiet)
    assert sum(r.num_right for r in loud) < 0.3 * sum(r.num_helped for r in loud)


def test_figures_bound_the_share_of_false_cells() -> None:
    made = {"num_helped": 0, "num_right": 0, "num_covered": 20, "num_cells": 24}
    clean, false = MatrixResult(num_found=0, num_false=0, **made), MatrixResult(num_found=2, num_false=2, **made)
    good = measure_matrices("matrix-null", 0.028, [clean] * 95 + [false] * 5)[0]
    bad = measure_matrices("matrix-null", 0.028, [clean] * 85 + [false] * 15)[0]
    assert good.value == pytest.approx(0.05)
    assert good.ci_high > 0.05
    assert (good.is_reached, bad.is_reached) == (True, False)
    assert "2.8 points" in good.figure


def test_noise_may_differ_between_sources() -> None:
    uneven = run_matrix(3, seed_sd=0.107, has_signal=False, is_uneven=True)
    assert uneven == run_matrix(3, seed_sd=0.107, has_signal=False, is_uneven=True)
    assert measure_matrices("matrix-uneven", 0.107, [uneven, uneven])[0].is_reached is None
