"""Write the page and everything beside it, each file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from search.report.figures import FIGURE_WIDTH_PX, build_figures
from search.report.heatmap import compute_transfer_heatmap
from search.report.load import load_run
from search.report.page import render_page
from search.report.plain_tables import transfer_latex, transfer_markdown, trials_markdown
from search.report.trial_table import compute_trial_table


def write_report(run_dir: Path) -> Path:
    """See `search.report.write_report`."""
    records = load_run(run_dir)
    out = run_dir / "report"
    figures = build_figures(records)
    heatmap = compute_transfer_heatmap(records)
    trial_table = compute_trial_table(records)
    for figure in figures.values():
        if figure.draw is not None:
            _write_atomically(out / "figures" / f"{figure.name}.svg", _svg(figure.spec(FIGURE_WIDTH_PX)))
    _write_atomically(out / "transfer.md", transfer_markdown(heatmap))
    _write_atomically(out / "transfer.tex", transfer_latex(heatmap))
    _write_atomically(out / "trials.md", trials_markdown(trial_table))
    # The page comes last: whoever sees it finds what it links to.
    return _write_atomically(out / "index.html", render_page(records, figures, heatmap, trial_table))


def _svg(spec: dict[str, object]) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))


def _write_atomically(path: Path, text: str) -> Path:
    """A reader, or a kill in the middle, sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
