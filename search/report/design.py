"""A design in the report: its claims as a picture, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from search.designs.table import DesignTable
from search.designs.write import CONTRAST_COLUMNS, arm_columns, arm_rows, contrast_rows, notes, pooled_rows
from search.report.theme import INK, ChartWidth

if TYPE_CHECKING:
    import altair as alt

VERDICT_COLOURS = {"better": "#2166ac", "no difference detected": "#767676", "worse": "#b35806"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DesignPage:
    """Tables of a design, ready to print.

    Attributes:
        kind: of the design.
        headline: how many claims are better.
        notes: what a reader must know.
    """

    kind: str
    headline: str
    arm_columns: tuple[str, ...]
    arm_rows: tuple[tuple[str, ...], ...]
    contrast_columns: tuple[str, ...]
    contrast_rows: tuple[tuple[str, ...], ...]
    pooled_rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def compute_design_page(table: DesignTable | None) -> DesignPage | None:
    """The tables of a design; None where the study has none."""
    if table is None:
        return None
    claims = [contrast for contrast in table.contrasts if contrast.is_claim]
    words = {word: sum(claim.verdict == word for claim in claims) for word in ("better", "worse")}
    return DesignPage(
        kind=table.kind,
        headline=f"Design {table.kind}: {words['better']} of {len(claims)} claims better, {words['worse']} worse.",
        arm_columns=tuple(arm_columns(table)),
        arm_rows=tuple(map(tuple, arm_rows(table))),
        contrast_columns=tuple(CONTRAST_COLUMNS),
        contrast_rows=tuple(map(tuple, contrast_rows(table))),
        pooled_rows=tuple(map(tuple, pooled_rows(table))),
        notes=tuple(notes(table)),
    )


def compute_design_rows(table: DesignTable) -> pd.DataFrame:
    """One row a contrast, in points, for the picture."""
    return pd.DataFrame(
        [
            {
                "row": contrast.row,
                "contrast": f"{contrast.first} - {contrast.second}",
                "difference": 100 * contrast.difference,
                "low": 100 * contrast.ci_low,
                "high": 100 * contrast.ci_high,
                "verdict": contrast.verdict,
                "detectable": round(100 * contrast.minimum_detectable, 1),
            }
            for contrast in table.contrasts
            if contrast.is_claim
        ],
        columns=["row", "contrast", "difference", "low", "high", "verdict", "detectable"],
    )


def draw_design(rows: pd.DataFrame, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Every claim with its interval around a line at 0.

    Args:
        rows: what `compute_design_rows` returned.
        width: Pixels, or "container" to follow the page.
    """
    import altair as alt

    x = alt.X("difference:Q", title="points").axis(tickCount=8)
    y = alt.Y("row:N", sort=rows["row"].tolist(), title=None)
    y = y.axis(labelLimit=300, labelExpr="split(datum.label, '/')")  # direction, target and sources on a line each
    colour = alt.Color("verdict:N", title=None).scale(
        domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values())
    )
    tooltip = [
        alt.Tooltip("row:N"),
        alt.Tooltip("contrast:N"),
        alt.Tooltip("difference:Q", format="+.1f"),
        alt.Tooltip("low:Q", title="95 % interval from", format="+.1f"),
        alt.Tooltip("high:Q", title="to", format="+.1f"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("detectable:Q", title="could have seen, points"),
    ]
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(color=INK, opacity=0.6).encode(x=x)
    base = alt.Chart(rows).encode(y=y, color=colour, tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x)
    return alt.layer(zero, bars, dots).properties(width=width, height=max(60, 48 * len(rows)))
