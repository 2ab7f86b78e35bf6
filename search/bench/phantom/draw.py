"""The evidence's figure: arms on single-image targets, abilities, and what there is to search for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from datasets_spec.phantom.questions import SINGLE
from search.bench.phantom.contrasts import ArmContrast, TableTarget
from search.report.figures.theme import BLUE, GREEN, GREY, INK, VERMILLION, chart_config

WIDTH_PX: Final = 560


def contrast_marks(contrasts: Sequence[ArmContrast]) -> pd.DataFrame:
    """One row a contrast, as the figure shows it."""
    return pd.DataFrame(
        [
            {
                "label": c.second if c.ability == SINGLE else f"{c.ability}: {c.second}",
                "difference": c.difference,
                "low": c.interval.low,
                "high": c.interval.high,
                "kind": "single-image targets" if c.ability == SINGLE else "ability targets",
            }
            for c in contrasts
        ]
    )


def draw_contrasts(contrasts: Sequence[ArmContrast]) -> Any:
    """Related minus every other arm, with intervals, around a line at 0."""
    import altair as alt

    rows = contrast_marks(contrasts)
    x = alt.X("difference:Q", title="related minus the arm named, points (95 % interval)").axis(tickCount=8)
    y = alt.Y("label:N", sort=rows["label"].tolist(), title=None).axis(labelLimit=260)
    colour = alt.Color("kind:N", title=None).scale(
        domain=["single-image targets", "ability targets"], range=[BLUE, VERMILLION]
    )
    base = alt.Chart(rows).encode(y=y, color=colour)
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(color=INK, opacity=0.6).encode(x=x)
    bars = base.mark_rule(strokeWidth=2.5, opacity=0.8).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x)
    title = "What related sources add, by what they are compared with"
    return alt.layer(zero, bars, dots).properties(width=WIDTH_PX, height=22 * len(rows), title=title)


def draw_table(summary: Sequence[TableTarget]) -> Any:
    """For every target of the table: untrained, best single source, all data, best composition."""
    import altair as alt

    names = {
        "baseline": "untrained",
        "best_single": "best single source",
        "all_data": "all eight sources",
        "best": "best of 255 compositions",
    }
    rows = pd.DataFrame(
        [
            {"target": row.target, "arm": label, "accuracy": getattr(row, field)}
            for row in summary
            for field, label in names.items()
        ]
    )
    order = [row.target for row in sorted(summary, key=lambda row: -row.margin)]
    colours = [GREY, VERMILLION, GREEN, BLUE]
    shapes = ["cross", "triangle-up", "square", "circle"]
    y = alt.Y("target:N", sort=order, title=None).axis(labelLimit=260, grid=True)
    chart = (
        alt.Chart(rows)
        .mark_point(filled=True, size=80, opacity=0.9)
        .encode(
            x=alt.X("accuracy:Q", title="accuracy, %").scale(zero=False).axis(tickCount=8),
            y=y,
            color=alt.Color("arm:N", title=None).scale(domain=list(names.values()), range=colours),
            shape=alt.Shape("arm:N", title=None).scale(domain=list(names.values()), range=shapes),
        )
    )
    title = "What there is to search for, largest margin first"
    return chart.properties(width=WIDTH_PX, height=22 * len(summary), title=title)


def figure_svg(contrasts: Sequence[ArmContrast], summary: Sequence[TableTarget]) -> str:
    """Both charts, one above the other, as SVG on white."""
    import altair as alt
    import vl_convert

    parts = [draw_contrasts(contrasts)] if contrasts else []
    parts += [draw_table(summary)] if summary else []
    figure = alt.vconcat(*parts).resolve_scale(color="independent", shape="independent")
    spec = figure.to_dict()
    spec["config"] = {**chart_config(), "background": "white"}
    # An SVG shown as an image inherits no text colour from the page.
    return str(vl_convert.vegalite_to_svg(spec)).replace(INK, "#1a1a1a")
