"""`recombine design ...` and what `recombine run` shows of a design."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from search.cli.console import print_line, print_table
from search.designs.registry import build_rows
from search.designs.table import DesignTable
from search.designs.wording import CONTRAST_COLUMNS, arm_columns, arm_rows, contrast_rows, notes, pooled_rows
from search.study.load_study import load_study
from search.study.sections.design import QUESTIONS
from search.study.study import row_counts, train_rows


def list_designs() -> None:
    """Print the kinds of designs and what each asks."""
    print_table("Designs", ["kind", "what it asks"], [[kind, question] for kind, question in QUESTIONS.items()])
    print_line("write `design: {kind: KIND}` into a study file, then: recombine design rows STUDY; recombine run STUDY")


def show_rows(study_file: Path, overrides: Sequence[str]) -> None:
    """Print the rows that a study's design consists of; launches nothing."""
    study = load_study(study_file, overrides)
    rows = build_rows(study, train_rows(study, row_counts(study)))
    cells = [
        [row.name, ", ".join(f"{arm.name}: {arm.composition.total}" for arm in row.arms if arm.composition)]
        for row in rows
    ]
    print_table(f"{len(rows)} rows", ["row", "arms and their samples"], cells)


def show_published(*, as_json: bool, factor: int) -> None:
    """Print what Med-MAT's controlled table supports when it is tested."""
    from search.designs.published import recount

    found = recount.recount(factor=factor)
    if as_json:
        print_line(json.dumps(recount.as_json(found)))
        return
    rows = [
        [
            str(judged.row.row),
            f"{' + '.join(judged.row.sources)} -> {judged.row.target}",
            f"{judged.row.best_other:g}",
            f"{judged.row.trained:g}",
            str(factor * (judged.row.num_questions or 0)),
            f"{judged.p_value:.3f}",
            f"{judged.p_holm:.3f}",
        ]
        for judged in found.judged
    ]
    columns = ["row", "sources -> target", "best other, %", "trained, %", "questions (inferred)", "p", "p (Holm)"]
    print_table(f"{recount.SOURCE}: marked rows that can be checked", columns, rows)
    for sentence in recount.in_words(found):
        print_line(sentence)


def show_design(table: DesignTable) -> None:
    """Print a design's table and what a reader must know of it."""
    print_table(f"Design {table.kind}: accuracy in % on {table.split}", arm_columns(table), arm_rows(table))
    print_table("Contrasts, in points", CONTRAST_COLUMNS, contrast_rows(table))
    print_table("Mean over rows", ["contrast", "rows", "points", "95 % interval over rows"], pooled_rows(table))
    for line in notes(table):
        print_line(line)
