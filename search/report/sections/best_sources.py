"""The best source of each target, and the ones that are not told from it."""

from __future__ import annotations

from typing import Any

from search.evidence.matrix.best_sources import Standing
from search.report.figures.heatmap import TransferHeatmap
from search.report.wording import amount

BEST_COLUMNS = ("target", "best source", "accuracy", "CG gain", "gain", "% of the way", "ties")
# Names of more ties than these are a list that nobody reads; transfer.csv has them all.
MOST_NAMES = 6


def compute_best_sources(heatmap: TransferHeatmap) -> tuple[tuple[str, ...], ...]:
    """One row a target of the matrix; none where a version before did not compare sources.

    Args:
        heatmap: What `compute_transfer_heatmap` returned.
    """
    by_target: dict[str, list[dict[Any, Any]]] = {target: [] for target in heatmap.targets}
    for cell in heatmap.cells.to_dict("records"):
        by_target[cell["target"]].append(cell)
    rows = []
    for target, cells in by_target.items():
        best = next((cell for cell in cells if cell["standing"] == Standing.best), None)
        if best is None:
            continue
        rows.append(
            (
                target,
                best["source"],
                best["accuracy"],
                best["cg_gain_text"],
                best["gain_text"],
                best["way_text"],
                _ties(cells),
            )
        )
    return tuple(rows)


def _ties(cells: list[dict[Any, Any]]) -> str:
    if any(cell["standing"] == Standing.unknown for cell in cells):
        return "not known: no training was repeated"
    names = sorted(cell["source"] for cell in cells if cell["standing"] == Standing.tied)
    if len(names) > MOST_NAMES:
        return f"{', '.join(names[:MOST_NAMES])} and {amount(len(names) - MOST_NAMES, 'other')}"
    return ", ".join(names) or "none"
