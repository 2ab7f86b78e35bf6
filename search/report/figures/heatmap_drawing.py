"""The transfer matrix drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search.evidence.matrix.best_sources import Standing
from search.report.figures.heatmap import MAX_CELLS_WITH_TEXT, TransferHeatmap
from search.report.figures.theme import DIVERGING, INK, ChartWidth

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

# Names of more columns than this are written upright.
MAX_LEVEL_NAMES = 6
LABEL_LINE_PX = 13
# From this share of the scale on, white text has more contrast with DIVERGING's ends than near-black (WCAG 2).
WHITE_TEXT_FROM = 0.8
MEASURES = {
    "cg_gain": "CG gain",
    "gain": "gain",
    "cg_way": "CG gain, % of the way",
    "way": "gain, % of the way",
}


def draw_transfer_heatmap(heatmap: TransferHeatmap, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """The clustered heatmap; faint cells in brackets are those whose verdict is neither better nor worse.

    Args:
        heatmap: What `compute_transfer_heatmap` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart with a switch between the measures that exist, and one between pairs by what they share.
    """
    import altair as alt

    measure, shares = _controls(heatmap)
    starred = {name: f"★ {name}" if name in heatmap.selected else name for name in heatmap.sources}
    column_names = _column_names(heatmap.targets)
    cells = heatmap.cells.assign(
        row=heatmap.cells["source"].map(starred), column=heatmap.cells["target"].map(column_names)
    )
    base = _places(cells, heatmap, starred, column_names)
    has_numbers = len(cells) <= MAX_CELLS_WITH_TEXT
    layers = [_squares(base, is_read_aloud=has_numbers), *([_numbers(base)] if has_numbers else [])]
    step = 28 if has_numbers else 14
    limit = alt.param(name="limit", expr=f"indexof(measure, 'way') >= 0 ? {heatmap.way_limit} : {heatmap.limit}")
    chart = alt.layer(*layers).add_params(measure, shares, limit)
    return chart.properties(width=width, height=step * len(heatmap.sources))


def _places(
    cells: pd.DataFrame, heatmap: TransferHeatmap, row_names: Mapping[str, str], column_names: Mapping[str, str]
) -> alt.Chart:
    """Where cells stand, and what of them is shown: all that squares and numbers share."""
    import altair as alt

    few = len(heatmap.targets) <= MAX_LEVEL_NAMES
    base: alt.Chart = (
        alt.Chart(cells)
        .transform_calculate(
            value="datum[measure]",
            clear="indexof(measure, 'cg') == 0 ? datum.cg_gain_clear : datum.gain_clear",
            label="datum[measure + '_label']",
            meant="shares == 'all pairs' || (shares == 'nothing' ? datum.shared == 'nothing'"
            " : indexof(datum.shared, shares) >= 0)",
        )
        .encode(
            x=alt.X("column:N", sort=list(column_names.values()), title=None).axis(
                orient="top",
                labelAngle=0 if few else -90,
                labelExpr="split(datum.label, '\\n')",
                labelLimit=150,
                labelPadding=4 + LABEL_LINE_PX * max(name.count("\n") for name in column_names.values()),
                labelOverlap=False,
            ),
            y=alt.Y("row:N", sort=[row_names[name] for name in heatmap.sources], title=None).axis(labelLimit=170),
            opacity=alt.condition("datum.meant", alt.value(1), alt.value(0.04)),
        )
    )
    return base


def _squares(base: alt.Chart, *, is_read_aloud: bool) -> alt.Chart:
    import altair as alt

    squares: alt.Chart = base.mark_rect(stroke=INK, cursor="pointer", aria=is_read_aloud).encode(
        fillOpacity=alt.condition("datum.clear", alt.value(1), alt.value(0.3)),
        strokeOpacity=alt.condition(f"datum.standing == '{Standing.best}'", alt.value(1), alt.value(0.25)),
        strokeWidth=alt.condition(f"datum.standing == '{Standing.best}'", alt.value(2), alt.value(1)),
        color=alt.Color("value:Q", title="points, or % of the way")
        .scale(domain=[alt.expr("-limit"), 0, alt.expr("limit")], range=list(DIVERGING), clamp=True)
        .legend(orient="bottom", gradientLength=160, direction="horizontal"),
        tooltip=_tooltip(),
    )
    return squares


def _numbers(base: alt.Chart) -> alt.Chart:
    import altair as alt

    strong = f"datum.clear && abs(datum.value) > {WHITE_TEXT_FROM} * limit"
    numbers: alt.Chart = base.mark_text(fontSize=12).encode(
        text="label:N",
        opacity=alt.condition("datum.meant", alt.value(1), alt.value(0)),
        color=alt.when(strong)
        .then(alt.value("#ffffff"))
        .when("datum.clear")
        .then(alt.value("#1b1f24"))
        .otherwise(alt.value(INK)),
    )
    return numbers


def _controls(heatmap: TransferHeatmap) -> tuple[alt.Parameter, alt.Parameter]:
    """What is shown, and of which pairs; a choice of one is none."""
    import altair as alt

    shown = [field for field in MEASURES if heatmap.cells[field].notna().any()] or ["gain"]
    radio = alt.binding_radio(options=shown, labels=[MEASURES[field] for field in shown], name="Show: ")
    together = sorted({name for shared in heatmap.cells["shared"] for name in str(shared).split(", ")} - {"nothing"})
    rest = ["nothing"] if (heatmap.cells["shared"] == "nothing").any() else []
    options = ["all pairs", *together, *rest]
    choice = alt.binding_select(options=options, name="Pairs that share: ")
    measure, shares = alt.param(name="measure", value=shown[0]), alt.param(name="shares", value=options[0])
    if len(shown) > 1:
        measure = alt.param(name="measure", value=shown[0], bind=radio)
    if len(options) > 2:
        shares = alt.param(name="shares", value=options[0], bind=choice)
    return measure, shares


def _column_names(targets: Sequence[str]) -> dict[str, str]:
    """With few columns a name stands level, in lines that fit a telephone; else upright, in one."""
    if len(targets) > MAX_LEVEL_NAMES:
        return {name: name for name in targets}
    width = max(6, 36 // len(targets))
    lines = {name: textwrap.wrap(name, width=width) or [name] for name in targets}
    tallest = max(len(parts) for parts in lines.values())
    # Vega hangs lines from the first one down, so shorter names are filled up from above.
    return {name: "\n" * (tallest - len(parts)) + "\n".join(parts) for name, parts in lines.items()}


def _tooltip() -> list[alt.Tooltip]:
    import altair as alt

    titles = {
        "source": "source",
        "target": "target",
        "shared": "shared elements",
        "cg_gain_text": "CG gain, points",
        "cg_gain_interval": "its interval",
        "cg_gain_verdict": "its verdict",
        "cg_way_text": "CG gain, % of the way",
        "gain_text": "gain, points",
        "gain_interval": "its interval ",
        "gain_verdict": "its verdict ",
        "way_text": "gain, % of the way",
        "standing": "among the sources",
        "n": "questions (n)",
        "seeds": "seeds",
        "estimator": "estimator",
        "exposure": "exposure",
    }
    return [alt.Tooltip(f"{field}:{'Q' if field in ('n', 'seeds') else 'N'}", title=t) for field, t in titles.items()]
