"""The selected composition against its comparators: paired differences, and each arm's own accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from search.report.figures.forest import interval_bars
from search.report.figures.theme import INK, SPLIT_COLOURS, ChartWidth
from search.report.run_files import RunRecords
from search.report.scores import compute_final_rows
from search.report.wording import arm_name, comparator_name, is_number, points
from search.statistics.ties import descending

if TYPE_CHECKING:
    import altair as alt

COMPARED_SPLITS = ("confirm", "sealed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparisons:
    """Paired differences of the selected composition to every comparator.

    Attributes:
        rows: Columns comparator, eval_set, split, difference, low, high (points), verdict, detectable (text),
            n, seeds (text).
        eval_sets: The mean over the targets first.
        splits: Those that occur.
    """

    rows: pd.DataFrame
    eval_sets: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmAccuracies:
    """Accuracy of every arm on `confirm` and `sealed`.

    Attributes:
        rows: Columns arm, eval_set, split, accuracy, low, high (percent), n, seeds.
        eval_sets: The mean over the targets first.
    """

    rows: pd.DataFrame
    eval_sets: tuple[str, ...]


def compute_comparisons(records: RunRecords) -> Comparisons:
    """The selection's paired comparisons, in points.

    Args:
        records: A run's files.

    Returns:
        No rows before a selection.
    """
    entries = (records.selection or {}).get("comparisons") or ()
    columns = ["comparator", "eval_set", "split", "difference", "low", "high", "verdict", "detectable", "n", "seeds"]
    rows = pd.DataFrame(
        [
            {
                "comparator": comparator_name(entry.get("comparator"), short=True),
                "eval_set": str(entry.get("eval_set")),
                "split": str(entry.get("split")),
                "difference": _hundredfold(entry.get("difference")),
                "low": _hundredfold(entry.get("simultaneous_low")),
                "high": _hundredfold(entry.get("simultaneous_high")),
                "verdict": str(entry.get("verdict")),
                "detectable": points(entry.get("minimum_detectable"), signed=False),
                "n": entry.get("n"),
                "seeds": " and ".join(str(number) for number in entry.get("seeds") or ()),
            }
            for entry in entries
        ],
        columns=columns,
    )
    splits = tuple(name for name in COMPARED_SPLITS if name in set(rows["split"]))
    return Comparisons(rows=rows, eval_sets=_mean_first(rows["eval_set"]), splits=splits)


def compute_arm_accuracies(records: RunRecords) -> ArmAccuracies:
    """Accuracy of every arm, averaged over its seeds.

    Seeds answer the same questions, so pooling them as if they were more questions would narrow the interval
    wrongly: the interval is the mean of the seeds' Wilson intervals, and covers which questions were asked, not
    which seed was drawn. The mean over targets gets the square-root combination of the targets' intervals
    (Zou and Donner, Statistics in Medicine 27, 2008).

    Args:
        records: A run's files.

    Returns:
        No rows before the confirmation.
    """
    rows = compute_final_rows(records.trials)
    rows = rows[rows["split"].isin(COMPARED_SPLITS) & (rows["status"] == "finished") & rows["accuracy"].notna()]
    names = [arm_name(row, records.selection or {}) for row in rows.to_dict("records")]
    rows = rows.assign(name=names).drop_duplicates(["train_id", "name", "eval_set", "split"])
    found = []
    for (name, split, eval_set), group in rows[rows["name"] != ""].groupby(["name", "split", "eval_set"]):
        found.append(
            {
                "arm": str(name),
                "eval_set": str(eval_set),
                "split": str(split),
                "accuracy": 100 * float(group["accuracy"].mean()),
                "low": 100 * float(group["ci_low"].mean()),
                "high": 100 * float(group["ci_high"].mean()),
                "n": int(group["n"].max()),
                "seeds": int(group["seed"].nunique()),
            }
        )
    columns = ["arm", "eval_set", "split", "accuracy", "low", "high", "n", "seeds"]
    frame = pd.DataFrame(found, columns=columns)
    with_means = pd.DataFrame([*_means(frame, records.targets), *found], columns=columns)
    return ArmAccuracies(rows=with_means, eval_sets=_mean_first(with_means["eval_set"]))


def _means(frame: pd.DataFrame, targets: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each (arm, split) that was scored on every one of several targets."""
    means = []
    on_targets = frame[frame["eval_set"].isin(list(targets))]
    for (arm, split), group in on_targets.groupby(["arm", "split"], sort=True):
        num_targets = group["eval_set"].nunique()
        if num_targets != len(targets) or num_targets < 2:
            continue
        centre = group["accuracy"].mean()
        below = math.sqrt(((group["accuracy"] - group["low"]) ** 2).sum()) / num_targets
        above = math.sqrt(((group["high"] - group["accuracy"]) ** 2).sum()) / num_targets
        means.append(
            {
                "arm": arm,
                "eval_set": "mean",
                "split": split,
                "accuracy": centre,
                "low": centre - below,
                "high": centre + above,
                "n": int(group["n"].sum()),
                "seeds": int(group["seeds"].min()),
            }
        )
    return means


def _hundredfold(value: Any) -> float | None:
    return 100 * float(value) if is_number(value) else None


def _mean_first(names: pd.Series[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(name) for name in names}, key=lambda name: (name != "mean", name)))


def draw_comparisons(comparisons: Comparisons, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Differences with intervals around a line at 0, one evaluation set at a time.

    Args:
        comparisons: What `compute_comparisons` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart with a choice of the evaluation set.
    """
    import altair as alt

    rows = comparisons.rows
    x = alt.X("difference:Q", title="selected minus comparator, points").axis(tickCount=8)
    details = [
        "verdict:N",
        alt.Tooltip("detectable:N", title="could have seen, points"),
        alt.Tooltip("n:Q", title="questions (n)"),
        "seeds:N",
    ]
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(color=INK, opacity=0.6).encode(x=x)
    marks = _intervals(rows, "comparator", x, comparisons.eval_sets, details)
    return alt.layer(zero, *marks).properties(width=width, height=44 * rows["comparator"].nunique())


def draw_arm_accuracies(arms: ArmAccuracies, *, width: ChartWidth) -> alt.LayerChart | alt.FacetChart:
    """Accuracy of every arm with its interval, one evaluation set at a time.

    Args:
        arms: What `compute_arm_accuracies` returned.
        width: Pixels, or "container" to follow the page.

    Returns:
        A chart with a choice of the evaluation set.
    """
    import altair as alt

    x = alt.X("accuracy:Q", title="accuracy, %").scale(zero=False).axis(tickCount=8)
    details = [alt.Tooltip("n:Q", title="questions (n)"), alt.Tooltip("seeds:Q")]
    marks = _intervals(arms.rows, "arm", x, arms.eval_sets, details)
    return alt.layer(*marks).properties(width=width, height=40 * arms.rows["arm"].nunique())


def _intervals(
    rows: pd.DataFrame, row_field: str, x: alt.X, eval_sets: Sequence[str], details: Sequence[Any]
) -> list[alt.Chart]:
    """A dot and its interval for each row, `confirm` above `sealed`, filtered to the chosen evaluation set."""
    import altair as alt

    value = str(x.shorthand).removesuffix(":Q")
    splits = [name for name in COMPARED_SPLITS if name in set(rows["split"])]
    colours = [SPLIT_COLOURS[name] for name in splits]
    first = eval_sets[0] if eval_sets else "mean"
    chosen = alt.param(name="eval_set", value=first)
    if len(eval_sets) > 1:
        control = alt.binding_select(options=list(eval_sets), name="Evaluation set: ")
        chosen = alt.param(name="eval_set", value=first, bind=control)
    largest = rows.groupby(row_field)[value].max()
    order = [str(largest.index[place]) for place in descending(largest.to_numpy(dtype=float))]
    base = (
        alt.Chart(rows)
        .transform_filter("datum.eval_set == eval_set")
        .encode(
            y=alt.Y(f"{row_field}:N", sort=order, title=None).axis(labelLimit=150),
            yOffset=alt.YOffset("split:N", sort=splits),
            color=alt.Color("split:N", title=None).scale(domain=splits, range=colours),
            tooltip=[
                alt.Tooltip(f"{row_field}:N"),
                alt.Tooltip("eval_set:N", title="evaluation set"),
                alt.Tooltip("split:N"),
                alt.Tooltip(f"{value}:Q", format=".1f"),
                alt.Tooltip("low:Q", title="interval from", format=".1f"),
                alt.Tooltip("high:Q", title="to", format=".1f"),
                *details,
            ],
        )
    )
    bars = interval_bars(base, value, opacity=0.8)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=x, shape=alt.Shape("split:N", title=None).scale(domain=splits, range=["circle", "diamond"][: len(splits)])
    )
    return [dots.add_params(chosen), bars]
