"""The reliability curve: how often answers of some probability are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from search.evidence.groups.reliability import ALL_SETS
from search.report.figures.theme import BLUE, INK, VERMILLION, ChartWidth
from search.report.run_files import RunRecords
from search.report.sections.subgroups import ARM_WORDS, is_told, num_questions

if TYPE_CHECKING:
    import altair as alt

ALL_WORDS = "all together"
COLUMNS = ("arm", "eval_set", "bin", "confidence", "accuracy", "low", "high", "n", "questions", "clusters", "told")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """Bins of the selected mix and of the untrained backbone.

    Attributes:
        rows: Columns `COLUMNS`: probabilities, accuracies and their intervals in percent.
        eval_sets: All together first.
        split: Where they were scored.
    """

    rows: pd.DataFrame
    eval_sets: tuple[str, ...]
    split: str


def compute_reliability(records: RunRecords) -> Reliability:
    """The bins that `findings.json` holds; no rows where no answer has probabilities.

    Args:
        records: A run's files.
    """
    findings = records.findings or {}
    rows = pd.DataFrame(
        [
            {
                "arm": ARM_WORDS.get(entry["arm"], str(entry["arm"])),
                "eval_set": ALL_WORDS if entry["eval_set"] == ALL_SETS else str(entry["eval_set"]),
                "bin": f"{100 * entry['low']:.0f} to {100 * entry['high']:.0f}",
                "confidence": 100 * entry["confidence"],
                "accuracy": 100 * entry["accuracy"],
                "low": 100 * entry["ci_low"],
                "high": 100 * entry["ci_high"],
                "n": entry["n"],
                "questions": num_questions(entry),
                "clusters": "not known" if entry["num_groups"] is None else str(entry["num_groups"]),
                "told": is_told(entry),
            }
            for entry in findings.get("reliability") or ()
        ],
        columns=list(COLUMNS),
    )
    names = {str(name) for name in rows["eval_set"]}
    eval_sets = tuple(sorted(names, key=lambda name: (name != ALL_WORDS, name)))
    return Reliability(rows=rows, eval_sets=eval_sets, split=str(findings.get("split") or ""))


def draw_reliability(reliability: Reliability, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Share of right answers over probability, a line an arm, one evaluation set at a time.

    Args:
        reliability: What `compute_reliability` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart with a choice of the evaluation set.
    """
    import altair as alt

    rows = reliability.rows
    arms = [word for word in ARM_WORDS.values() if word in set(rows["arm"])]
    first = reliability.eval_sets[0]
    chosen = alt.param(name="eval_set", value=first)
    if len(reliability.eval_sets) > 1:
        control = alt.binding_select(options=list(reliability.eval_sets), name="Evaluation set: ")
        chosen = alt.param(name="eval_set", value=first, bind=control)
    ends = alt.Scale(domain=[0, 100])
    x = alt.X("confidence:Q", title="probability of the chosen option, %").scale(ends)
    colour = alt.Color("arm:N", title=None).scale(domain=arms, range=[BLUE, VERMILLION][: len(arms)])
    base = alt.Chart(rows).transform_filter("datum.eval_set == eval_set").encode(x=x, color=colour)
    told = base.transform_filter("datum.told")
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("bin:N", title="probability, %"),
        alt.Tooltip("confidence:Q", title="mean probability, %", format=".1f"),
        alt.Tooltip("accuracy:Q", title="right, %", format=".1f"),
        alt.Tooltip("low:Q", title="interval from", format=".1f"),
        alt.Tooltip("high:Q", title="to", format=".1f"),
        alt.Tooltip("n:Q", title="answers (n)"),
        alt.Tooltip("questions:Q"),
        alt.Tooltip("clusters:N"),
    ]
    y = alt.Y("accuracy:Q", title="right, %").scale(ends)
    line = alt.Chart(pd.DataFrame({"confidence": [0, 100], "accuracy": [0, 100]}))
    diagonal = line.mark_line(color=INK, opacity=0.6, strokeDash=[5, 4]).encode(x=x, y=y)
    curves = told.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=y)
    bars = told.mark_rule(strokeWidth=2, opacity=0.8).encode(y=alt.Y("low:Q"), y2="high:Q")
    dots = base.mark_point(size=70, opacity=1, strokeWidth=2).encode(
        y=y,
        shape=alt.Shape("arm:N", title=None).scale(domain=arms, range=["circle", "diamond"][: len(arms)]),
        fill=alt.condition("datum.told", colour, alt.value("transparent")),
        tooltip=tooltip,
    )
    return alt.layer(diagonal, curves, bars, dots.add_params(chosen)).properties(width=width, height=300)
