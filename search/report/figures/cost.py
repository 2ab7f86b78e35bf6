"""Accuracy against what it cost to train: whether a cheaper mix does as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from search.report.figures.theme import BLUE, GREEN, GREY, INK, PINK, VERMILLION, ChartWidth
from search.report.run_files import RunRecords
from search.report.scores import compute_trial_heads, compute_trial_scores
from search.report.wording import as_mapping, composition_text

if TYPE_CHECKING:
    import altair as alt

GROUPS = {"search trial": BLUE, "single subset": GREEN, "comparator": PINK, "selected": VERMILLION}
# Beyond this ratio of dearest to cheapest, a linear axis squeezes most trials into one corner.
LOG_AXIS_RATIO = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CostPoints:
    """One point for each finished trial that was scored on every target.

    Attributes:
        points: Columns train_id, group, arm, composition, train_s, accuracy (percent), split, seed, n.
        frontier: Columns train_s, accuracy: the best accuracy reachable at that cost or less, on `split`.
        baseline: The untrained backbone's accuracy on `split`, percent.
        split: The split that most points are on.
        num_seeds: Different seeds among the points.
        num_targets: Targets behind every mean.
    """

    points: pd.DataFrame
    frontier: pd.DataFrame
    baseline: float | None
    split: str
    num_seeds: int
    num_targets: int


def compute_cost_points(records: RunRecords) -> CostPoints:
    """Mean accuracy over the targets and training seconds of every trial.

    Accuracies of different splits are over different questions, so only trials scored on `search` are drawn; when
    there is none, those on `confirm`. `sealed` is never used to compare trials here.

    Args:
        records: A run's files.

    Returns:
        The points, cheapest first; none before the first scored trial.
    """
    heads = compute_trial_heads(records.trials)
    for split in ("search", "confirm"):
        scores = compute_trial_scores(records.trials, records.targets, split)
        if not scores.empty:
            break
    joined = scores.join(heads)
    untrained = joined[joined["stage"] == "baseline"]
    trained = joined[(joined["stage"] != "baseline") & joined["train_s"].notna()].sort_values("train_s", kind="stable")
    selected = as_mapping((records.selection or {}).get("composition"))
    points = pd.DataFrame(
        {
            "train_id": trained.index.str.slice(0, 12),
            "group": [
                _group(stage, as_mapping(composition) == selected)
                for stage, composition in zip(trained["stage"], trained["composition"], strict=True)
            ],
            "arm": trained["arm"].astype(str).to_numpy(),
            "composition": trained["composition"].map(composition_text).to_numpy(),
            "train_s": trained["train_s"].to_numpy(dtype=float),
            "accuracy": 100 * trained["score"].to_numpy(dtype=float),
            "seed": trained["seed"].to_numpy(),
            "n": trained["n"].to_numpy(),
        }
    )
    best = points[points["accuracy"] > points["accuracy"].cummax().shift(fill_value=float("-inf"))]
    return CostPoints(
        points=points,
        frontier=best[["train_s", "accuracy"]].reset_index(drop=True),
        baseline=None if untrained.empty else 100 * float(untrained["score"].mean()),
        split=split,
        num_seeds=int(trained["seed"].nunique()),
        num_targets=len(records.targets),
    )


def _group(stage: str, is_selected: bool) -> str:
    if is_selected:
        return "selected"
    return {"search": "search trial", "single": "single subset"}.get(stage, "comparator")


def draw_cost_points(cost: CostPoints, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Points with the frontier as a step line and the untrained backbone as a dashed line.

    Args:
        cost: What `compute_cost_points` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart.
    """
    import altair as alt

    seconds = cost.points["train_s"]
    is_wide = len(seconds) > 0 and seconds.min() > 0 and seconds.max() / seconds.min() > LOG_AXIS_RATIO
    x = alt.X("train_s:Q", title="training time, s").scale(type="log" if is_wide else "linear", zero=False)
    x = x.axis(tickCount=8)
    y = alt.Y("accuracy:Q", title=f"accuracy on {cost.split}, %").scale(zero=False)
    dots = (
        alt.Chart(cost.points)
        .mark_point(filled=True, size=85, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=alt.Color("group:N", title=None).scale(domain=list(GROUPS), range=list(GROUPS.values())),
            shape=alt.Shape("group:N", title=None).scale(
                domain=list(GROUPS), range=["circle", "square", "triangle-up", "diamond"]
            ),
            tooltip=[
                alt.Tooltip("composition:N"),
                alt.Tooltip("group:N", title="kind"),
                alt.Tooltip("arm:N"),
                alt.Tooltip("accuracy:Q", title="accuracy, %", format=".1f"),
                alt.Tooltip("train_s:Q", title="training, s", format=".1f"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("n:Q", title="questions (n)"),
                alt.Tooltip("train_id:N", title="trial"),
            ],
        )
    )
    steps = alt.Chart(cost.frontier).mark_line(interpolate="step-after", color=INK, opacity=0.45).encode(x=x, y=y)
    layers: list[alt.Chart] = [steps, dots]
    if cost.baseline is not None:
        line = alt.Chart(pd.DataFrame({"accuracy": [cost.baseline]}))
        layers.insert(0, line.mark_rule(color=GREY, strokeDash=[5, 4]).encode(y=y))
    return alt.layer(*layers).properties(width=width, height=300)
