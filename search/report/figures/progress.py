"""The search itself: what each proposal scored and the best so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from search.report.figures.theme import BLUE, GREY, INK, VERMILLION, ChartWidth
from search.report.run_files import RunRecords
from search.report.scores import compute_trial_heads, compute_trial_scores
from search.report.wording import composition_text

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchProgress:
    """The proposals in order.

    Attributes:
        proposals: Columns proposal (0, 1, ...), train_id, composition, status, accuracy (percent, missing when
            the trial was not finished), best (percent, the best so far), seed, n.
        baseline: The untrained backbone's accuracy on `search`, percent.
        is_ordered: Whether proposal numbers were recorded; otherwise the ledger's order stands for them.
        num_unscored: Proposals that failed or were stopped.
    """

    proposals: pd.DataFrame
    baseline: float | None
    is_ordered: bool
    num_unscored: int


def compute_search_progress(records: RunRecords) -> SearchProgress:
    """Score of each proposal on the `search` split, and the best up to it.

    Args:
        records: A run's files.

    Returns:
        One row for each proposal; none before the first.
    """
    heads = compute_trial_heads(records.trials)
    scores = compute_trial_scores(records.trials, records.targets, "search")
    searched = heads[heads["stage"] == "search"].join(scores[["score", "n"]])
    is_ordered = bool(searched["proposal_index"].notna().all()) and not searched.empty
    if is_ordered:
        searched = searched.sort_values("proposal_index", kind="stable")
    proposals = pd.DataFrame(
        {
            "proposal": searched["proposal_index"].astype(int) if is_ordered else range(len(searched)),
            "train_id": searched.index.str.slice(0, 12),
            "composition": searched["composition"].map(composition_text),
            "status": searched["status"].astype(str),
            "accuracy": 100 * searched["score"].astype(float),
            "seed": searched["seed"],
            "n": searched["n"],
        }
    ).reset_index(drop=True)
    proposals["best"] = proposals["accuracy"].cummax().ffill()
    untrained = scores[heads.loc[scores.index, "stage"] == "baseline"]
    return SearchProgress(
        proposals=proposals,
        baseline=None if untrained.empty else 100 * float(untrained["score"].mean()),
        is_ordered=is_ordered,
        num_unscored=int(proposals["accuracy"].isna().sum()),
    )


def draw_search_progress(progress: SearchProgress, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Points for proposals, a step line for the best so far, crosses below for those without a score.

    Args:
        progress: What `compute_search_progress` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart.
    """
    import altair as alt

    frame = progress.proposals
    known = pd.concat([frame["accuracy"], pd.Series([progress.baseline], dtype=float)])
    floor = float(known.min()) - 2 if known.notna().any() else 0.0
    frame = frame.assign(height=frame["accuracy"].fillna(floor), scored=frame["accuracy"].notna())
    x = alt.X("proposal:Q", title="proposal").axis(tickMinStep=1, format="d")
    y = alt.Y("height:Q", title="accuracy on search, %").scale(zero=False)
    line = (
        alt.Chart(frame[frame["best"].notna()])
        .mark_line(interpolate="step-after", color=INK, strokeWidth=2)
        .encode(x=x, y=alt.Y("best:Q"))
    )
    dots = (
        alt.Chart(frame)
        .mark_point(filled=True, size=75, opacity=0.9)
        .encode(
            x=x,
            y=y,
            color=alt.when("datum.scored").then(alt.value(BLUE)).otherwise(alt.value(VERMILLION)),
            shape=alt.when("datum.scored").then(alt.value("circle")).otherwise(alt.value("cross")),
            tooltip=[
                alt.Tooltip("proposal:Q"),
                alt.Tooltip("composition:N"),
                alt.Tooltip("accuracy:Q", title="accuracy, %", format=".1f"),
                alt.Tooltip("best:Q", title="best so far, %", format=".1f"),
                alt.Tooltip("status:N"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("n:Q", title="questions (n)"),
                alt.Tooltip("train_id:N", title="trial"),
            ],
        )
    )
    layers: list[alt.Chart] = [line, dots]
    if progress.baseline is not None:
        rule = alt.Chart(pd.DataFrame({"height": [progress.baseline]}))
        layers.insert(0, rule.mark_rule(color=GREY, strokeDash=[5, 4]).encode(y=y))
    return alt.layer(*layers).properties(width=width, height=260)
