"""An end of an interval that is not zero never reads as zero, nor the other way round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.finding.points import end_text, points_text, size_text, span_text


def test_points_read_with_one_digit() -> None:
    assert points_text(0.0412) == "+4.1"
    assert points_text(-0.0412) == "-4.1"
    assert points_text(-0.0412, signed=False) == "4.1"
    assert points_text(-0.0001) == "0.0"
    assert span_text(-0.208, -0.002) == "-20.8 to -0.2"
    assert span_text(0.0002, 0.03) == "+0.02 to +3.0"
    assert size_text(-0.04, -0.01) == "1.0 to 4.0"


@given(st.floats(-1, 1, allow_subnormal=False))
def test_an_end_keeps_its_side_of_zero(end: float) -> None:
    read = float(end_text(end))
    assert (read > 0) == (end > 0)
    assert (read < 0) == (end < 0)
    assert read / 100 == pytest.approx(end, abs=0.00051)
