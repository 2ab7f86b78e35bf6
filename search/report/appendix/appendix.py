"""The appendix of a study: methods, tables, checklists, in the order of a paper."""

from __future__ import annotations

from collections.abc import Mapping

from search.evidence.inputs.study_facts import read_facts
from search.report.appendix.blocks import Block, Paragraph, as_latex, as_markdown
from search.report.appendix.checklists import CLAIM_2024, DISCLAIMER, TRIPOD_LLM, checklist_table
from search.report.appendix.methods import data_table, methods_text
from search.report.appendix.results_tables import (
    comparisons_table,
    composition_table,
    estimates_table,
    results_table,
)
from search.report.appendix.statements import statements
from search.report.run_files import RunRecords
from search.study.run_dir import RunDir, RunFile

FINAL_SPLITS = ("confirm", "sealed")


def compute_appendix(records: RunRecords, terms: Mapping[str, str]) -> list[Block]:
    """The appendix as blocks; every figure is read from the study's files.

    Args:
        records: a run's files.
        terms: licence by subset, as catalogs name it.
    """
    selection = records.selection or {}
    splits = FINAL_SPLITS if records.design is None else (records.design.split,)
    stated = statements(records, terms)
    tables = (
        data_table(records, terms),
        composition_table(selection, records.run.get("subsets") or {}),
        *(results_table(records, split) for split in splits),
        estimates_table(selection),
        comparisons_table(selection),
    )
    checklists = (
        checklist_table("CLAIM 2024", CLAIM_2024, stated),
        checklist_table("TRIPOD-LLM, main items", TRIPOD_LLM, stated),
    )
    return [
        Paragraph(heading="Methods", text=methods_text(records)),
        Paragraph(heading="Tables", text="The single-source transfer matrix is in transfer.tex and transfer.md."),
        *(table for table in tables if table is not None),
        Paragraph(heading="Checklists", text=DISCLAIMER),
        *checklists,
    ]


def appendix_texts(records: RunRecords) -> tuple[str, str]:
    """The appendix as Markdown and as LaTeX."""
    blocks = compute_appendix(records, read_terms(records.run_dir))
    title = f"Appendix: {records.name}"
    return as_markdown(title, blocks), as_latex(title, blocks)


def read_terms(run_dir: RunDir) -> dict[str, str]:
    """Licence by subset, where the study's facts are recorded and name one."""
    path = run_dir / RunFile.facts
    if not path.is_file():
        return {}
    return {name: subset.licence for name, subset in read_facts(path).subsets.items() if subset.licence}
