"""How a difference of accuracies reads, in percentage points, wherever it stands."""

from __future__ import annotations

import math


def points_text(difference: float, *, signed: bool = True) -> str:
    """0.0412 -> "+4.1"."""
    text = f"{100 * abs(difference):.1f}"
    return text if text == "0.0" else _sign(difference, signed=signed) + text


def end_text(end: float, *, signed: bool = True) -> str:
    """An end of an interval: 0.0412 -> "+4.1", 0.0002 -> "+0.02"; one that is not zero never reads as zero.

    Whether an interval excludes zero is what a verdict says, so it must be seen in what is printed.
    """
    value = 100 * abs(end)
    if value == 0:
        return "0.0"
    digits = 1 if value >= 0.05 else -math.floor(math.log10(value))
    return _sign(end, signed=signed) + f"{value:.{digits}f}"


def span_text(low: float, high: float) -> str:
    """(0.01, 0.04) -> "+1.0 to +4.0"."""
    return f"{end_text(low)} to {end_text(high)}"


def size_text(low: float, high: float) -> str:
    """The size of a difference whose interval excludes zero, without signs: (-0.04, -0.01) -> "1.0 to 4.0"."""
    nearer, farther = sorted((abs(low), abs(high)))
    return f"{end_text(nearer, signed=False)} to {end_text(farther, signed=False)}"


def _sign(difference: float, *, signed: bool) -> str:
    return "" if not signed else "+" if difference > 0 else "-"
