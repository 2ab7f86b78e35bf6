"""A design in the report: its claims as a picture, and its tables."""

from __future__ import annotations

from dataclasses import dataclass

from search.designs.table import DesignTable
from search.designs.wording import CONTRAST_COLUMNS, arm_columns, arm_rows, contrast_rows, notes, pooled_rows


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
