"""The fixed turns and scales, made all at once, are those that are made one by one."""

from __future__ import annotations

import numpy as np

from datasets_spec.copies.registration import _turned_and_scaled, _turning_and_scaling, warped


def test_turning_and_scaling_at_once_is_warping_one_by_one() -> None:
    grid = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    one_by_one = np.stack([warped(grid, placement) for placement in _turned_and_scaled()])
    at_once = (_turning_and_scaling() @ grid.astype(np.float64).ravel()).reshape(one_by_one.shape)
    assert np.abs(at_once - one_by_one).max() < 1e-5
    assert (at_once == 0).any()  # a turned grid does not reach all corners
