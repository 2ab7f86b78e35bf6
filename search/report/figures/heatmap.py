"""The transfer matrix as a picture: sources in rows, targets in columns, similar ones side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from search.evidence.matrix.verdicts import NO_CLAIM
from search.report.run_files import RunRecords
from search.report.wording import NOT_KNOWN, as_mapping, interval, is_number, percent, points
from search.statistics.ties import index_of_largest
from search.statistics.verdicts import Verdict
from search.vocabulary import Exposure

# Told cells apart on a 1 200 px wide page; above this the numbers overlap and only colour is drawn.
MAX_CELLS_WITH_TEXT = 240
# The source has the target's own key: no transfer, but what training on the target itself gives.
OWN_KEY_MARK = "†"
# No training was repeated, so that the cell may be nothing but its seed.
NO_CLAIM_MARK = "?"
CLEAR = (Verdict.better.value, Verdict.worse.value)
# `single` measures one subset alone, `random` estimates from a random share of trials, `adaptive` from trials
# that the strategy chose: the least biased one that exists is shown.
ESTIMATOR_ORDER = ("single", "random", "adaptive")
# Points: rows as far apart but for rounding count as equally far, and sums of a power of two's multiples are exact.
DISTANCE_STEP = 2.0**-20
SPLIT_ORDER = ("confirm", "search", "sealed", "train")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferHeatmap:
    """One cell for each (source, target), ordered.

    Attributes:
        cells: Columns source, target, shared, n, seeds, estimator, exposure, and for both measures (`gain`,
            `cg_gain`) the value in points, `_interval` (text), `_verdict`, `_clear` (whether it is better or worse),
            `_label`; `way` and `cg_way` are the share of the way to perfect in percent, with `_text` and `_label`;
            `accuracy`, `untrained` and `control` (text), `standing` among the sources of the target and by how many
            points it is `behind` the best.
        sources: Row order.
        targets: Column order.
        limit: The largest absolute value, in points: the end of the colour scale.
        way_limit: The same of shares of the way to perfect, in percent; at most 100.
        split: The split of all cells; "" when there are none.
        num_without_cell: Pairs that were not measured.
        estimators: Those that occur.
        n_range: Fewest and most questions behind a cell.
        seeds_range: Fewest and most seeds behind a cell.
        selected: The subsets of the selected composition.
        confidence: Of the intervals of each measure, as a share; none where nothing is claimed.
        num_without_claim: Cells that claim nothing because no training was repeated.
        num_clear: Cells whose verdict is better or worse, of the leading measure.
    """

    cells: pd.DataFrame
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    limit: float
    way_limit: float
    split: str
    num_without_cell: int
    estimators: tuple[str, ...]
    n_range: tuple[int, int]
    seeds_range: tuple[int, int]
    selected: frozenset[str]
    confidence: Mapping[str, float]
    num_without_claim: int
    num_clear: int

    @property
    def has_cg_gain(self) -> bool:
        """Whether any control was run, so that transfer is told from having learned the answer format."""
        return bool(self.cells["cg_gain"].notna().any())


def compute_transfer_heatmap(records: RunRecords) -> TransferHeatmap:
    """Choose one measurement for every cell and put similar sources and similar targets side by side.

    The split that measures most cells is taken for all of them, so that cells compare.

    Args:
        records: A run's files.

    Returns:
        The ordered cells; no cells when `transfer.csv` is missing or empty.
    """
    rows = records.transfer
    split = _best_split(rows)
    rank = {name: place for place, name in enumerate(ESTIMATOR_ORDER)}
    rows = rows[rows["split"] == split]
    rows = rows.assign(_rank=rows["estimator"].map(rank).fillna(len(rank))).sort_values("_rank", kind="stable")
    rows = rows.drop_duplicates(["source", "target"], keep="first")
    cells = pd.DataFrame([_cell(row) for row in rows.to_dict("records")], columns=list(_cell({})))
    measure = "cg_gain" if cells["cg_gain"].notna().any() else "gain"
    matrix = cells.pivot(index="source", columns="target", values=measure).astype(float)
    sources, targets = _cluster(matrix), _cluster(matrix.T)
    selection = records.selection or {}
    return TransferHeatmap(
        cells=cells,
        sources=sources,
        targets=targets,
        limit=_limit(cells[["gain", "cg_gain"]]),
        way_limit=min(100.0, _limit(cells[["way", "cg_way"]])),
        split=split,
        num_without_cell=len(sources) * len(targets) - len(cells),
        estimators=tuple(name for name in ESTIMATOR_ORDER if name in set(cells["estimator"])),
        n_range=_range(cells["n"]),
        seeds_range=_range(cells["seeds"]),
        selected=frozenset(as_mapping(selection.get("composition"))),
        confidence={
            name: float(levels.iloc[0])
            for name, column in (("cg_gain", "confidence"), ("gain", "gain_confidence"))
            if len(levels := rows[column].dropna()) and cells[name].notna().any()
        },
        num_without_claim=int((rows["verdict"] == NO_CLAIM).sum()),
        num_clear=int(rows["verdict"].isin(CLEAR).sum()),
    )


def _limit(values: pd.DataFrame) -> float:
    sizes = np.abs(values.to_numpy(dtype=float))
    finite = sizes[np.isfinite(sizes)]
    return float(max(1.0, np.ceil(finite.max()))) if finite.size else 1.0


def _best_split(rows: pd.DataFrame) -> str:
    """The split with the most cells; ties by how little the search was guided by it."""
    sizes = {str(split): int(size) for split, size in rows.groupby("split").size().items()}
    names = [name for name in SPLIT_ORDER if name in sizes] + sorted(set(sizes) - set(SPLIT_ORDER))
    return max(names, key=lambda name: sizes[name], default="")


def _cell(row: dict[Any, Any]) -> dict[str, Any]:
    """One measured pair. The interval in `transfer.csv` belongs to the CG gain where there is one."""
    cg_gain, gain = row.get("cg_gain"), row.get("gain")
    low, high = row.get("ci_low"), row.get("ci_high")
    own = (row.get("gain_ci_low"), row.get("gain_ci_high"))
    gain_interval = own if is_number(cg_gain) else (low, high)
    cg_interval = (low, high) if is_number(cg_gain) else (None, None)
    verdicts = row.get("gain_verdict" if is_number(cg_gain) else "verdict"), row.get("verdict")
    mark = OWN_KEY_MARK if row.get("exposure") == Exposure.in_domain else ""
    return {
        "source": str(row.get("source")),
        "target": str(row.get("target")),
        "shared": str(row.get("shared_elements") or "").replace("+", ", ") or "nothing",
        "n": row.get("n"),
        "seeds": row.get("seeds"),
        "estimator": str(row.get("estimator")),
        "exposure": str(row.get("exposure") or Exposure.held_out),
        "accuracy": percent(row.get("accuracy")),
        "untrained": percent(_difference(row.get("accuracy"), gain)),
        "control": percent(_difference(row.get("accuracy"), cg_gain)),
        "standing": str(row.get("standing") or NOT_KNOWN),
        "behind": points(row.get("behind_best"), signed=False),
        **_measure("gain", gain, gain_interval, verdicts[0], mark),
        **_measure("cg_gain", cg_gain, cg_interval, verdicts[1], mark),
        **_way("way", row.get("normalised_gain"), verdicts[0], mark),
        **_way("cg_way", row.get("normalised_cg_gain"), verdicts[1], mark),
    }


def _difference(after: Any, gain: Any) -> float | None:
    return after - gain if is_number(after) and is_number(gain) else None


def _way(name: str, share: Any, verdict: Any, mark: str) -> dict[str, Any]:
    """The share of the way to perfect, in percent; it is as clear as the gain that it is made of."""
    text = points(share)
    shown = text if verdict in CLEAR or not is_number(share) else f"({text})"
    return {
        name: 100 * share if is_number(share) else None,
        f"{name}_text": text,
        f"{name}_label": shown + mark,
    }


def _measure(name: str, value: Any, bounds: tuple[Any, Any], verdict: Any, mark: str) -> dict[str, Any]:
    low, high = bounds
    clear = verdict in CLEAR
    if is_number(value) and verdict == NO_CLAIM:
        mark = NO_CLAIM_MARK + mark
    text = points(value)
    return {
        name: 100 * value if is_number(value) else None,
        f"{name}_text": text,
        f"{name}_interval": interval(low, high, signed=True),
        f"{name}_verdict": str(verdict) if is_number(value) and isinstance(verdict, str) and verdict else NOT_KNOWN,
        f"{name}_clear": clear,
        f"{name}_label": (text if clear or not is_number(value) else f"({text})") + mark,
    }


def _cluster(matrix: pd.DataFrame) -> tuple[str, ...]:
    """Row names in the leaf order of average linkage, with neighbours as alike as possible.

    Optimal leaf ordering: Bar-Joseph et al., Bioinformatics 17 (2001). Unmeasured cells count as their column's
    mean, which pulls a row towards no one.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist

    names = tuple(str(name) for name in matrix.index)
    if len(names) < 3:
        return names
    values = matrix.fillna(matrix.mean()).fillna(0.0).to_numpy(dtype=float)
    distances = np.round(pdist(values) / DISTANCE_STEP) * DISTANCE_STEP
    order = leaves_list(linkage(distances, method="average", optimal_ordering=True))
    # The two directions of a leaf order are the same tree; strongest first reads best.
    if index_of_largest(values[order[[0, -1]]].mean(axis=1)) == 1:
        order = order[::-1]
    return tuple(names[place] for place in order)


def interval_note(heatmap: TransferHeatmap) -> str:
    """What the intervals hold and how wide they are, or why there are none; one sentence."""
    if not heatmap.confidence:
        return (
            "No intervals and no claims: no training was repeated, so that every cell may be nothing but its seed "
            "(transfer.repeats)."
        )
    levels = {f"{100 * level:.1f}\u00a0%" for level in heatmap.confidence.values()}
    names = {"cg_gain": "CG gain", "gain": "gain"}
    told = ", ".join(f"{100 * level:.1f}\u00a0% of {names[name]}" for name, level in heatmap.confidence.items())
    return (
        f"The intervals ({next(iter(levels)) if len(levels) == 1 else told}) hold questions and training seeds, and "
        "are as wide as the test of all cells together asks: one in ten of the cells pointed out may be false."
    )


def _range(column: pd.Series[Any]) -> tuple[int, int]:
    known = column.dropna()
    return (int(known.min()), int(known.max())) if len(known) else (0, 0)
