"""Write the page and everything beside it, each file whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from datasets_spec.atomic import replace_text
from search.report.appendix.appendix import appendix_texts
from search.report.figures.all_figures import FIGURE_WIDTH_PX, build_figures
from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.page import render_page
from search.report.plain_tables import selection_markdown, transfer_latex, transfer_markdown, trials_markdown
from search.report.run_files import load_run
from search.report.sections.answer import compute_answer
from search.report.sections.trials import compute_trial_table
from search.study.run_dir import RunDir, RunFile

DRAWN_ID = re.compile(r"""((?:id="|url\(#)(?:gradient_|clip))(\d+)""")


def write_report(run_dir: RunDir) -> Path:
    """Write `RUN/report/index.html` and the tables and figures beside it, each atomically.

    Args:
        run_dir: A study directory, finished or not. Read are `run.json`, `study.resolved.yaml`,
            `report/trials.parquet`, `report/transfer.csv`, `selection/selection.json` and `inputs/study.json`; the page
            says which of them are not there yet.

    Returns:
        The path of the page.

    Raises:
        UserError: `run_dir` is no study directory, or a file in it is damaged.
    """
    records = load_run(run_dir)
    figures = build_figures(records)
    heatmap = compute_transfer_heatmap(records)
    trial_table = compute_trial_table(records)
    for figure in figures.values():
        if figure.draw is not None:
            replace_text(run_dir / RunFile.figures / f"{figure.name}.svg", _svg(figure.spec(FIGURE_WIDTH_PX)))
    replace_text(run_dir / RunFile.transfer_markdown, transfer_markdown(heatmap))
    replace_text(run_dir / RunFile.transfer_latex, transfer_latex(heatmap))
    replace_text(run_dir / RunFile.trials_markdown, trials_markdown(trial_table))
    answer = compute_answer(records)
    if records.selection is not None:
        replace_text(run_dir / RunFile.selection_markdown, selection_markdown(answer))
    markdown, latex = appendix_texts(records)
    replace_text(run_dir / RunFile.appendix_markdown, markdown)
    replace_text(run_dir / RunFile.appendix_latex, latex)
    # The page comes last: whoever sees it finds what it links to.
    replace_text(run_dir / RunFile.page, render_page(records, figures, heatmap, trial_table))
    return run_dir / RunFile.page


def _svg(spec: dict[str, object]) -> str:
    import vl_convert

    # The drawing library numbers gradients and clips on from picture to picture: equal pictures are to be equal files.
    numbers: dict[str, str] = {}
    return DRAWN_ID.sub(
        lambda found: found[1] + numbers.setdefault(found[2], str(len(numbers))), str(vl_convert.vegalite_to_svg(spec))
    )
