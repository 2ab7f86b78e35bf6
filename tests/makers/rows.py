"""Rows of a plan, made without files."""

from __future__ import annotations

from datasets_spec.splits.links import row_links
from datasets_spec.splits.row_plan import TEST, Row
from datasets_spec.splits.shares import SplitShares

TRAIN_ONLY = {"pool": SplitShares(train=1.0, search=0.0, confirm=0.0, sealed=0.0)}


def planned_row(subset: str, index: int, image: str, group: str | None = None, data: str | None = None) -> Row:
    """A row that shows an image; of the subset `test`, a published test row."""
    return Row(
        subset=subset,
        role=TEST if subset == "test" else "pool",
        file="f.json",
        index=index,
        content_hash=f"{subset}{index}",
        row_hash=f"{subset}{index}",
        label="x",
        links=row_links([image], [group] if group else [], [data or f"{subset}{index}"]),
    )
