"""The figures of the page in order, each with a caption that says what to see and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.designs.table import DesignTable
from search.evidence.explain.effects import COVERAGE_IN_PRACTICE
from search.evidence.groups.class_results import FEWEST_PATIENTS
from search.evidence.matrix.best_sources import Standing
from search.report.figures.comparisons import (
    ArmAccuracies,
    Comparisons,
    compute_arm_accuracies,
    compute_comparisons,
    draw_arm_accuracies,
    draw_comparisons,
)
from search.report.figures.cost import CostPoints, compute_cost_points, draw_cost_points
from search.report.figures.figure import Figure
from search.report.figures.forest import compute_design_rows, compute_effect_rows, draw_forest
from search.report.figures.heatmap import (
    MAX_CELLS_WITH_TEXT,
    NO_CLAIM_MARK,
    OWN_KEY_MARK,
    TransferHeatmap,
    compute_transfer_heatmap,
    interval_note,
)
from search.report.figures.heatmap_drawing import draw_transfer_heatmap
from search.report.figures.progress import SearchProgress, compute_search_progress, draw_search_progress
from search.report.figures.reliability import Reliability, compute_reliability, draw_reliability
from search.report.run_files import RunRecords
from search.report.sections.subgroups import FEWEST_QUESTIONS, TOO_FEW
from search.report.wording import amount, count
from search.vocabulary import Exposure


def build_figures(records: RunRecords) -> dict[str, Figure]:
    """All figures of a run, by name, in the page's order.

    Args:
        records: A run's files.

    Returns:
        The figures; those without data have no `draw`.
    """
    figures = (
        _heatmap_figure(compute_transfer_heatmap(records)),
        _cost_figure(compute_cost_points(records)),
        _progress_figure(compute_search_progress(records), len(records.targets)),
        _comparison_figure(compute_comparisons(records)),
        _arms_figure(compute_arm_accuracies(records)),
        _effects_figure(records),
        _reliability_figure(compute_reliability(records)),
        *([] if records.design is None else [_design_figure(records.design)]),
    )
    return {figure.name: figure for figure in figures}


def _heatmap_figure(heatmap: TransferHeatmap) -> Figure:
    brackets = " in brackets" if len(heatmap.cells) <= MAX_CELLS_WITH_TEXT else ""
    notes = [f"Blue helps, orange hurts; faint cells{brackets} are not told from 0."]
    if heatmap.has_cg_gain:
        notes.append("CG gain is against a matched control of unrelated data, gain against the untrained backbone.")
    else:
        notes.append("No control was run yet: gain also contains having learned the answer format.")
    notes.append(
        f"Split: {heatmap.split}; n = {_span(heatmap.n_range)} questions a cell; "
        f"{_seeds(heatmap.seeds_range)}; estimator: {', '.join(heatmap.estimators)}"
        f"{' (exploratory)' if 'adaptive' in heatmap.estimators else ''}."
    )
    notes.append(interval_note(heatmap))
    if heatmap.confidence:
        notes.append(
            f"{heatmap.num_clear} of {amount(len(heatmap.cells), 'cell')} are pointed out (Benjamini and Hochberg); "
            "the matrix is for looking, claims are tested below."
        )
        if heatmap.num_without_claim:
            notes.append(
                f"{NO_CLAIM_MARK} {amount(heatmap.num_without_claim, 'cell')} without a claim: one seed, and no "
                "training on that target was repeated."
            )
    if heatmap.cells[["way", "cg_way"]].notna().any(axis=None):
        notes.append("% of the way: to perfect, (after - before) / (1 - before).")
    if (heatmap.cells["standing"] == Standing.best).any():
        notes.append("Framed: the best source of the target.")
    if heatmap.num_without_cell:
        notes.append(f"{amount(heatmap.num_without_cell, 'pair')} not measured.")
    if (heatmap.cells["exposure"] == Exposure.in_domain).any():
        notes.append(f"{OWN_KEY_MARK} trained on the target's own kind of question: not transfer.")
    if heatmap.selected:
        notes.append("★ is in the selected mix.")
    return Figure(
        name="transfer",
        title="What transfers to what",
        caption=" ".join(notes),
        draw=None if heatmap.cells.empty else lambda width: draw_transfer_heatmap(heatmap, width=width),
        absent="No subset has been measured alone yet; the matrix appears when the first single-subset trial is.",
        min_width_px=170 + 16 * len(heatmap.targets) if len(heatmap.targets) > 6 else 0,
    )


def _cost_figure(cost: CostPoints) -> Figure:
    caption = (
        f"Up and to the left is better; the line joins the best for the money, the dashed line is the untrained "
        f"backbone. {amount(len(cost.points), 'trial')}, {amount(cost.num_seeds, 'seed')}, split: {cost.split}, "
        f"mean of {amount(cost.num_targets, 'target')}, n = {_total(cost.points['n'])} questions a trial. "
        "Single trials, no intervals: do not read small differences."
    )
    return Figure(
        name="cost",
        title="Accuracy against cost",
        caption=caption,
        draw=None if cost.points.empty else lambda width: draw_cost_points(cost, width=width),
        absent="No trained trial has been scored on all targets yet.",
    )


def _progress_figure(progress: SearchProgress, num_targets: int) -> Figure:
    frame = progress.proposals
    order = "" if progress.is_ordered else " Proposal numbers were not recorded; the order is the ledger's."
    caption = (
        f"The line is the best so far, the dashed line the untrained backbone, crosses are the "
        f"{amount(progress.num_unscored, 'proposal')} without a score. Split: search, mean of "
        f"{amount(num_targets, 'target')}, n = {_total(frame['n'])} questions a trial, one seed each, no intervals. "
        f"A best of many is optimistic; the comparison below is not.{order}"
    )
    has_score = bool(frame["accuracy"].notna().any())
    return Figure(
        name="progress",
        title="How the search went",
        caption=caption,
        draw=(lambda width: draw_search_progress(progress, width=width)) if has_score else None,
        absent="No proposal has been scored on all targets yet.",
    )


def _comparison_figure(comparisons: Comparisons) -> Figure:
    rows = comparisons.rows
    caption = (
        "Right of the line the selected mix is better; an interval that touches the line is no detected difference. "
        f"Paired by question; split: {' and '.join(comparisons.splits)}; n = {_total(rows['n'])} questions; "
        f"seeds of the selected mix and the comparator: {' or '.join(sorted(set(rows['seeds']), reverse=True))}; "
        "simultaneous 95\u00a0% intervals over questions and seeds: all of a split's means hold at once, and so do all "
        "of its single targets; none where one seed an arm leaves training noise unknown."
    )
    return Figure(
        name="comparisons",
        title="The selected mix against the alternatives",
        caption=caption,
        draw=None if rows.empty else lambda width: draw_comparisons(comparisons, width=width),
        absent="No selection has been compared yet; this needs the confirmation stage.",
    )


def _arms_figure(arms: ArmAccuracies) -> Figure:
    rows = arms.rows
    caption = (
        "Accuracy itself, so that differences can be judged in context. "
        f"Split: {' and '.join(sorted(set(rows['split'])))}; n = {_total(rows['n'])} questions, "
        f"{_seeds(_bounds(rows['seeds']))} an arm. 95\u00a0% Wilson intervals over questions, averaged over seeds; "
        "they leave out seed noise, and overlapping ones decide nothing: the paired figure above does."
    )
    return Figure(
        name="arms",
        title="Accuracy of every finalist and comparator",
        caption=caption,
        draw=None if rows.empty else lambda width: draw_arm_accuracies(arms, width=width),
        absent="No finalist or comparator has been scored on confirm or sealed questions yet.",
    )


def _effects_figure(records: RunRecords) -> Figure:
    rows = compute_effect_rows(records)
    explained = records.explanation or {}
    how = (
        "drawn at random or single" if explained.get("estimator") == "random" else "chosen by earlier ones: exploratory"
    )
    caption = (
        "What a subset adds to a composition of the others drawn by chance (Banzhaf value), on the mean over targets, "
        f"in points. Split: search; n = {amount(explained.get('num_trials', 0), 'trial')}, one seed each, {how}. "
        "95\u00a0% intervals of a model of single and pair effects, not adjusted for their number; "
        f"{COVERAGE_IN_PRACTICE}. `recombine explain` says more."
    )
    return Figure(
        name="effects",
        title="What each subset adds",
        caption=caption,
        draw=None if rows.empty else lambda width: draw_forest(rows, width=width),
        absent="Too few trials were scored on every target to tell subsets apart.",
    )


def _reliability_figure(reliability: Reliability) -> Figure:
    rows = reliability.rows
    caption = (
        "On the line, answers are right as often as their probability says; below it the model is too sure of itself. "
        f"Hollow bins hold fewer than {FEWEST_QUESTIONS} questions or {FEWEST_PATIENTS} clusters: {TOO_FEW}. "
        f"Split: {reliability.split}; n = {_total(rows['n'])} answers a bin, over all seeds; the probability is that "
        "of the option that was chosen, over the options; 95\u00a0% intervals over clusters (patients, or images where "
        "only these are known), else over questions."
    )
    return Figure(
        name="reliability",
        title="Are its probabilities true?",
        caption=caption,
        draw=None if rows.empty else lambda width: draw_reliability(reliability, width=width),
        absent="No selection has been scored on questions with options yet, so that there are no probabilities.",
    )


def _design_figure(table: DesignTable) -> Figure:
    rows = compute_design_rows(table)
    seeds = [score.num_seeds for score in table.scores]
    caption = (
        "Right of the line the first arm is better; an interval that touches the line is no detected difference. "
        f"Paired by question; split: {table.split}; n = {_span(_ends([score.n for score in table.scores]))} questions; "
        f"{_seeds(_ends(seeds))} an arm; simultaneous 95\u00a0% intervals over questions and seeds, for all rows "
        "of a contrast."
    )
    return Figure(
        name="design",
        title=f"Design: {table.kind}",
        caption=caption,
        draw=None if rows.empty else lambda width: draw_forest(rows, width=width),
        absent="No row has both of its arms scored yet.",
    )


def _ends(numbers: Sequence[int]) -> tuple[int, int]:
    return (min(numbers), max(numbers)) if numbers else (0, 0)


def _span(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _seeds(bounds: tuple[int, int]) -> str:
    return f"{_span(bounds)} seed{'' if bounds == (1, 1) else 's'}"


def _bounds(column: Any) -> tuple[int, int]:
    known = column.dropna()
    return (int(known.min()), int(known.max())) if len(known) else (0, 0)


def _total(column: Any) -> str:
    return _span(_bounds(column))
