"""A design's table as files: design.json for programs, design.csv for spreadsheets, design.md for readers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from datasets_spec.atomic import replace_file, replace_text
from datasets_spec.errors import UserError
from search.designs.table import Contrast, DesignTable
from search.designs.wording import (
    CONTRAST_COLUMNS,
    arm_columns,
    arm_rows,
    contrast_rows,
    markdown_table,
    notes,
    pooled_rows,
)
from search.evidence.spreadsheet import safe_cell
from search.study.run_dir import RunDir, RunFile

if TYPE_CHECKING:
    import pandas as pd


def write_design(table: DesignTable, run_dir: RunDir) -> None:
    """Write the three files, each atomically."""
    text = json.dumps(table.as_dict(), indent=1, sort_keys=True, allow_nan=False)
    replace_text(run_dir / RunFile.design, text + "\n")
    frame = contrasts_frame(table)
    replace_file(
        run_dir / RunFile.design_csv, lambda temporary: frame.to_csv(temporary, index=False, lineterminator="\n")
    )
    replace_text(run_dir / RunFile.design_markdown, design_markdown(table))


def read_design(run_dir: RunDir) -> DesignTable | None:
    """What `write_design` wrote; None where there is no design.

    Raises:
        UserError: the file is damaged.
    """
    path = run_dir / RunFile.design
    if not path.is_file():
        return None
    try:
        return DesignTable.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged", hint="`recombine report STUDY` writes it again from the ledger"
        ) from error


def contrasts_frame(table: DesignTable) -> pd.DataFrame:
    """One row a contrast, accuracies of both arms beside it."""
    import pandas as pd

    scores = {(score.row, score.arm): score for score in table.scores}
    rows = []
    for contrast in table.contrasts:
        first, second = scores[contrast.row, contrast.first], scores[contrast.row, contrast.second]
        cells = {name: getattr(contrast, name) for name in Contrast.__slots__}
        cells |= {"first_accuracy": first.accuracy, "second_accuracy": second.accuracy, "n": first.n}
        rows.append({name: safe_cell(value) for name, value in cells.items()})
    return pd.DataFrame(rows)


def design_markdown(table: DesignTable) -> str:
    """The table for readers, accuracies in %."""
    lines = [
        f"# Design: {table.kind}",
        "",
        f"Backbone {table.backbone}; questions of `{table.split}`; accuracy in %, 95 % intervals over questions and "
        "training seeds; intervals and p-values of a contrast are simultaneous over its rows (Bonferroni).",
        "",
        *markdown_table(arm_columns(table), arm_rows(table)),
        "",
        *markdown_table(CONTRAST_COLUMNS, contrast_rows(table)),
        "",
        "Mean over rows:",
        "",
        *markdown_table(["contrast", "rows", "points", "95 % interval over rows"], pooled_rows(table)),
        "",
        *(f"- {line}" for line in notes(table)),
    ]
    return "\n".join(lines) + "\n"
