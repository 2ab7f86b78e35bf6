"""Values with their intervals around a line at 0, one a line: the claims of a design, the effects of an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from search.designs.table import DesignTable
from search.report.figures.theme import INK, ChartWidth
from search.report.run_files import RunRecords, leading_effects
from search.statistics.ties import descending

if TYPE_CHECKING:
    import altair as alt

COLUMNS = ("row", "what", "difference", "low", "high", "verdict", "note")
LINE_HEIGHT_PX = 13
COLOURS = {
    "better": "#2166ac",
    "adds": "#2166ac",
    "no difference detected": "#767676",
    "not clear": "#767676",
    "worse": "#b35806",
    "takes away": "#b35806",
}


def draw_forest(rows: pd.DataFrame, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Dots and intervals, in points, in the frame's order.

    Args:
        rows: columns `COLUMNS`; a label is broken at every "/".
        width: Pixels, or "container" to follow the page.
    """
    import altair as alt

    words = [word for word in COLOURS if word in set(rows["verdict"])]
    x = alt.X("difference:Q", title="points").axis(tickCount=8)
    y = alt.Y("row:N", sort=rows["row"].tolist(), title=None)
    y = y.axis(labelLimit=300, labelExpr="split(datum.label, '/')")
    colour = alt.Color("verdict:N", title=None).scale(domain=words, range=[COLOURS[word] for word in words])
    tooltip = [
        alt.Tooltip("row:N"),
        alt.Tooltip("what:N"),
        alt.Tooltip("difference:Q", format="+.1f"),
        alt.Tooltip("low:Q", title="interval from", format="+.1f"),
        alt.Tooltip("high:Q", title="to", format="+.1f"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("note:N"),
    ]
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(color=INK, opacity=0.6).encode(x=x)
    base = alt.Chart(rows).encode(y=y, color=colour, tooltip=tooltip)
    bars = interval_bars(base, "difference", opacity=1.0)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x)
    most_lines = max((str(label).count("/") + 1 for label in rows["row"]), default=1)
    height = max(60, (LINE_HEIGHT_PX * most_lines + 10) * len(rows))
    return alt.layer(zero, bars, dots).properties(width=width, height=height)


def interval_bars(base: alt.Chart, value: str, *, opacity: float) -> alt.Chart:
    """A line from `low` to `high` for each row; of no length where there is no interval.

    A layer without any row would leave its scale without an extent, of which Vega warns.

    Args:
        base: The chart whose rows have the columns.
        value: The column of the dot.
        opacity: Of the lines, 0 to 1.
    """
    import altair as alt

    ends = {f"shown_{end}": f"isValid(datum.{end}) ? datum.{end} : datum.{value}" for end in ("low", "high")}
    lines = base.transform_calculate(**ends).mark_rule(strokeWidth=2.5, opacity=opacity)
    bars: alt.Chart = lines.encode(x=alt.X("shown_low:Q"), x2="shown_high:Q")
    return bars


def compute_design_rows(table: DesignTable) -> pd.DataFrame:
    """One row a claim, in points, for the picture."""
    return pd.DataFrame(
        [
            {
                "row": contrast.row,
                "what": f"{contrast.first} - {contrast.second}",
                "difference": 100 * contrast.difference,
                "low": _hundredfold(contrast.simultaneous_low),
                "high": _hundredfold(contrast.simultaneous_high),
                "verdict": contrast.verdict,
                "note": f"could have seen {100 * contrast.minimum_detectable:.1f} points",
            }
            for contrast in table.contrasts
            if contrast.is_claim
        ],
        columns=list(COLUMNS),
    )


def compute_effect_rows(records: RunRecords) -> pd.DataFrame:
    """Banzhaf values over all targets, largest first, for the picture; no rows where nothing was explained."""
    effects = list(leading_effects(records, "banzhaf"))
    values = [effects[place] for place in descending([float(effect["value"]) for effect in effects])]
    return pd.DataFrame(
        [
            {
                "row": effect["subject"],
                "what": "added to a composition of the others",
                "difference": 100 * effect["value"],
                "low": 100 * effect["ci_low"],
                "high": 100 * effect["ci_high"],
                "verdict": _word(effect),
                "note": f"on {effect['target']}",
            }
            for effect in values
        ],
        columns=list(COLUMNS),
    )


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _word(effect: Mapping[str, Any]) -> str:
    if not effect["is_clear"]:
        return "not clear"
    return "adds" if effect["value"] > 0 else "takes away"
