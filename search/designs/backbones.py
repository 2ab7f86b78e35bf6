"""One design on several backbones: what holds for one model need not hold for the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets_spec.atomic import replace_text
from search.designs.table import Contrast, DesignTable
from search.designs.wording import markdown_table
from search.statistics.carry_over import Matrix, between_backbones
from search.statistics.verdicts import Verdict
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study


def backbone_studies(study: Study) -> dict[str, Study]:
    """The same study for each backbone of its design, by a name that is also its folder's; none without a list.

    Every one is a study of its own with its own ledger; data are shared.
    """
    section = study.spec.design
    if section is None or not section.backbones:
        return {}
    found: dict[str, Study] = {}
    for backbone in section.backbones:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(backbone.model).name) or "backbone"
        name = name if name not in found else f"{name}-{len(found) + 1}"
        design = section.model_copy(update={"backbones": ()})
        found[name] = replace(study, spec=study.spec.model_copy(update={"backbone": backbone, "design": design}))
    return found


def comparison_columns(tables: Mapping[str, DesignTable]) -> list[str]:
    """Row and contrast, a column for each backbone, and on how many the sign is the same."""
    return ["row", "contrast", *tables, "same sign"]


def comparison_rows(tables: Mapping[str, DesignTable]) -> list[list[str]]:
    """Every claim on every backbone: the difference in points, `*` where it is better or worse by its test."""
    by_place: dict[tuple[str, str, str], dict[str, Contrast]] = {}
    for name, table in tables.items():
        for contrast in table.contrasts:
            if contrast.is_claim:
                by_place.setdefault((contrast.row, contrast.first, contrast.second), {})[name] = contrast
    rows = []
    for (row, first, second), found in by_place.items():
        positive = sum(contrast.difference > 0 for contrast in found.values())
        rows.append(
            [
                row,
                f"{first} - {second}",
                *(_cell(found.get(name)) for name in tables),
                f"{max(positive, len(found) - positive)} of {len(found)}",
            ]
        )
    return rows


def carry_over_lines(tables: Mapping[str, DesignTable]) -> list[str]:
    """How far the order of each target's rows, by their claims, is the same on two backbones; none with few rows."""
    claims = {
        name: {contrast.row: contrast.difference for contrast in table.contrasts if contrast.is_claim}
        for name, table in tables.items()
    }
    target_of = {row["name"]: row["target"] for table in tables.values() for row in table.rows}
    rows, targets = tuple(target_of), tuple(dict.fromkeys(target_of.values()))
    matrices = []
    for name, found in claims.items():
        values = np.full((1, len(rows), len(targets)), np.nan)
        for row, difference in found.items():
            values[0, rows.index(row), targets.index(target_of[row])] = difference
        matrices.append(Matrix(backbone=name, values=values, sources=rows, targets=targets))
    return [
        f"Order of a target's rows, {found.first} and {found.second}: rank correlation {found.correlation:.2f} (95 % "
        f"over {found.num_targets} targets: {found.interval.low:.2f} to {found.interval.high:.2f}); "
        f"the same row is best on {found.same_best:.0%}."
        for found in between_backbones(matrices)
    ]


def write_comparison(tables: Mapping[str, DesignTable], run_dir: RunDir) -> Path:
    """Write the comparison as Markdown; return its path."""
    lines = [
        "# One design on several backbones",
        "",
        "Differences in points; `*`: better or worse by the test of that backbone's own table.",
        "",
        *markdown_table(comparison_columns(tables), comparison_rows(tables)),
        *(f"\n{line}" for line in carry_over_lines(tables)),
    ]
    replace_text(run_dir / RunFile.backbones_markdown, "\n".join(lines) + "\n")
    return run_dir / RunFile.backbones_markdown


def _cell(contrast: Contrast | None) -> str:
    if contrast is None:
        return "-"
    is_claimed = contrast.verdict != Verdict.no_difference_detected
    return f"{100 * contrast.difference:+.1f}{'*' if is_claimed else ''}"
