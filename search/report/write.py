"""Write the page and everything beside it, each file whole or not at all."""

from __future__ import annotations

from pathlib import Path

from datasets_spec.atomic import replace_file, replace_text
from search.report.appendix.appendix import appendix_texts
from search.report.figures.all_figures import build_figures
from search.report.figures.drawings import draw_pdf, draw_svg, inline_svg
from search.report.figures.figure import Figure
from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.page import render_page
from search.report.plain_tables import selection_markdown, transfer_latex, transfer_markdown, trials_markdown
from search.report.run_files import load_run
from search.report.sections.answer import compute_answer
from search.report.sections.trials import compute_trial_table
from search.study.run_dir import RunDir, RunFile


def write_report(run_dir: RunDir, *, is_flat: bool = False) -> Path:
    """Write `RUN/report/index.html` and the tables and figures beside it, each atomically.

    Args:
        run_dir: A study directory, finished or not. Read are `run.json`, `study.resolved.yaml`,
            `report/trials.parquet`, `report/transfer.csv`, `selection/selection.json` and `inputs/study.json`; the page
            says which of them are not there yet.
        is_flat: Also write `RUN/report/flat.html`, the page without scripts; one that is there is always written
            again, so that the two never differ.

    Returns:
        The path of the page.

    Raises:
        UserError: `run_dir` is no study directory, or a file in it is damaged.
    """
    records = load_run(run_dir)
    figures = build_figures(records)
    heatmap = compute_transfer_heatmap(records)
    trial_table = compute_trial_table(records)
    drawings = {figure.name: _write_drawing(run_dir, figure) for figure in figures.values() if figure.draw is not None}
    replace_text(run_dir / RunFile.transfer_markdown, transfer_markdown(heatmap))
    replace_text(run_dir / RunFile.transfer_latex, transfer_latex(heatmap))
    replace_text(run_dir / RunFile.trials_markdown, trials_markdown(trial_table))
    answer = compute_answer(records)
    if records.selection is not None:
        replace_text(run_dir / RunFile.selection_markdown, selection_markdown(answer))
    markdown, latex = appendix_texts(records)
    replace_text(run_dir / RunFile.appendix_markdown, markdown)
    replace_text(run_dir / RunFile.appendix_latex, latex)
    # The pages come last: whoever sees one finds what it links to.
    if is_flat or (run_dir / RunFile.flat_page).is_file():
        replace_text(run_dir / RunFile.flat_page, render_page(records, figures, heatmap, trial_table, drawings))
    replace_text(run_dir / RunFile.page, render_page(records, figures, heatmap, trial_table))
    return run_dir / RunFile.page


def _write_drawing(run_dir: RunDir, figure: Figure) -> str:
    """Write a figure's SVG and PDF; return it as an element of a page."""
    svg = draw_svg(figure)
    replace_text(run_dir / RunFile.figures / f"{figure.name}.svg", svg)
    pdf = draw_pdf(svg)
    replace_file(run_dir / RunFile.figures / f"{figure.name}.pdf", lambda temporary: temporary.write_bytes(pdf))
    return inline_svg(figure, svg)
