"""The logarithm of expected improvement is right where the improvement itself has long underflowed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from search.strategies.surrogate.acquisition import FAR_TAIL, log_expected_improvement
from search.strategies.surrogate.gaussian_process import Prediction

DEVIATION = 0.01


def log_gain(z: float) -> float:
    prediction = Prediction(mean=np.array([0.5 + z * DEVIATION]), deviation=np.array([DEVIATION]))
    return float(log_expected_improvement(prediction, 0.5)[0])


@pytest.mark.parametrize("z", [3.0, 0.0, -0.999, -1.0, -1.001, -5.0, -30.0, -1000.0])
def test_it_is_the_integral_over_what_lies_above_the_incumbent(z: float) -> None:
    # E max(z + e, 0) = phi(z) * integral of x exp(x z - x^2 / 2) over x > 0
    integral = quad(lambda x: x * np.exp(x * z - x**2 / 2), 0, 12 / max(1.0, -z / 3), epsabs=0, epsrel=1e-12)[0]
    expected = np.log(DEVIATION) - z**2 / 2 - np.log(2 * np.pi) / 2 + np.log(integral)
    assert log_gain(z) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_last_range_follows_without_a_step() -> None:
    ends = [log_gain(FAR_TAIL * (1 + step)) + (FAR_TAIL * (1 + step)) ** 2 / 2 for step in (-1e-9, 1e-9)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)
    assert log_gain(-1e6) > log_gain(-1.1e6)
