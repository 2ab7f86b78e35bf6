"""Tables of continuous mixtures in RegMix's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datasets_spec.errors import UserError
from search.known_truth.mixtures import load_mixtures, rank_correlations

DOMAINS = [f"train_domain_{i}" for i in range(17)]
LOSSES = ["valid_a", "valid_b"]


def write(folder: Path, name: str, num: int, seed: int, offset: float) -> tuple[Path, Path]:
    """Runs with known losses: a curved law of the shares, the larger model lower by a constant."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(17, 0.3), size=num)
    worth = np.random.default_rng(99).normal(0, 1, size=(17, 2))
    losses = offset - np.sqrt(shares) @ worth * 0.3 + rng.normal(0, 0.01, size=(num, 2))
    weights_file, losses_file = folder / f"{name}_weights.csv", folder / f"{name}_losses.csv"
    index = np.arange(num)
    pd.DataFrame(shares, columns=DOMAINS).assign(index=index).to_csv(weights_file, index=False)
    # In another order: runs are joined by their index, not by their place.
    pd.DataFrame(losses, columns=LOSSES).assign(index=index)[::-1].to_csv(losses_file, index=False)
    return weights_file, losses_file


def test_a_few_small_runs_rank_larger_ones(tmp_path: Path) -> None:
    train = load_mixtures(*write(tmp_path, "small", 128, 1, 4.0))
    test = load_mixtures(*write(tmp_path, "large", 64, 2, 2.5))
    found = [rank_correlations(train, test, num_runs=32, seed=seed) for seed in range(3)]
    for target in LOSSES:
        assert np.mean([draw[target] for draw in found]) > 0.8
    more = rank_correlations(train, test, num_runs=128, seed=0)
    assert min(more.values()) > 0.93


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    weights, losses = write(tmp_path, "small", 8, 1, 4.0)
    train = load_mixtures(weights, losses)
    with pytest.raises(UserError, match="9 from"):
        rank_correlations(train, train, num_runs=9, seed=0)
    pd.read_csv(weights).drop(columns="index").to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(UserError, match="bare"):
        load_mixtures(tmp_path / "bare.csv", losses)
    with pytest.raises(UserError, match="nothing"):
        load_mixtures(weights, tmp_path / "nothing.csv")
    pd.read_csv(weights).assign(extra="text").to_csv(tmp_path / "text.csv", index=False)
    with pytest.raises(UserError, match="finite numbers"):
        load_mixtures(tmp_path / "text.csv", losses)
