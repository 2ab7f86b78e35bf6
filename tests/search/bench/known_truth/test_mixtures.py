"""Tables of continuous mixtures in RegMix's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datasets_spec.errors import UserError
from search.bench.known_truth.mixtures import load_mixtures, load_runs, rank_correlations

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


def write_runs(path: Path, num: int, seed: int) -> Path:
    """A curriculum of two stages of three domains, two scores and a loss that is one of them turned round."""
    rng = np.random.default_rng(seed)
    shares = np.concatenate([rng.dirichlet(np.ones(3), size=num), rng.dirichlet(np.ones(3), size=num)], axis=1)
    worth = np.array([[0.3, 0.0], [0.1, 0.2], [0.0, 0.4], [0.2, 0.1], [0.4, 0.0], [0.0, 0.1]])
    scores = np.sqrt(shares) @ worth + rng.normal(0, 0.005, size=(num, 2))
    frame = pd.DataFrame(shares, columns=[f"x_{d}_{k}" for k in (1, 2) for d in ("if", "math", "code")])
    frame = frame.assign(note="a", y_math=scores[:, 0], y_code=scores[:, 1], y_loss_math=-scores[:, 0])
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def test_one_file_of_runs_holds_shares_scores_and_losses(tmp_path: Path) -> None:
    train, test = load_runs(write_runs(tmp_path / "a.csv", 40, 1)), load_runs(write_runs(tmp_path / "b.parquet", 60, 2))
    assert (len(train.domains), train.targets) == (6, ("math", "code", "loss_math"))
    np.testing.assert_allclose(train.shares.sum(1), 1)
    np.testing.assert_allclose(train.losses[:, 0], train.losses[:, 2])
    found = rank_correlations(train, test, num_runs=32, seed=0)
    assert min(found.values()) > 0.9


def test_runs_without_the_columns_are_refused(tmp_path: Path) -> None:
    path = write_runs(tmp_path / "a.csv", 5, 1)
    pd.read_csv(path).drop(columns=["y_math", "y_code", "y_loss_math"]).to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(UserError, match="0 y_"):
        load_runs(tmp_path / "bare.csv")
    pd.read_csv(path).assign(y_math="high").to_csv(tmp_path / "text.csv", index=False)
    with pytest.raises(UserError, match="finite numbers"):
        load_runs(tmp_path / "text.csv")
    with pytest.raises(UserError, match="nothing"):
        load_runs(tmp_path / "nothing.csv")
