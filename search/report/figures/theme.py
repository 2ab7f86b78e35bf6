"""Colours and type of every chart, chosen to hold in light, dark and print and for colour-blind readers."""

from __future__ import annotations

from typing import Any, Literal

ChartWidth = int | Literal["container"]

# Orange - grey - blue: the ends of ColorBrewer's PuOr and RdBu, both rated safe for colour-blind readers
# (colorbrewer2.org); grey in the middle is "no transfer".
DIVERGING = ("#b35806", "#f2f2f2", "#2166ac")

# Okabe and Ito's palette (jfly.uni-koeln.de/color), the members that reach 3:1 on both white and near-black.
BLUE = "#2a86c7"
VERMILLION = "#d55e00"
GREEN = "#00946b"
PINK = "#c2699b"
GREY = "#7d8590"

SPLIT_COLOURS = {"confirm": BLUE, "sealed": VERMILLION}

# Vega draws into SVG, where this keyword takes the page's text colour: one drawing serves light, dark and print.
INK = "currentColor"


def chart_config() -> dict[str, Any]:
    """The Vega-Lite configuration that all charts share."""
    faint = {"gridColor": INK, "gridOpacity": 0.12, "domainColor": INK, "domainOpacity": 0.4}
    ticks = {"tickColor": INK, "tickOpacity": 0.4}
    labels = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": None,
        "font": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {**faint, **ticks, **labels, "titleFontWeight": "normal"},
        "legend": {**labels, "titleFontWeight": "normal", "orient": "bottom", "labelLimit": 260, "columns": 2},
        "text": {"color": INK},
        "rule": {"color": INK},
    }
