"""The report: one HTML page that answers the study's question, and the tables and figures behind it.

`compute_*()` functions turn a run's files into frozen data, `draw_*()` functions turn those into charts, and
`write_report()` puts both on one page. The imports that cost seconds (altair, pandas, scipy) happen inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_report"]


def write_report(run_dir: Path) -> Path:
    """Write `RUN/report/index.html` and the tables and figures beside it, each atomically.

    Args:
        run_dir: A study directory, finished or not. Read are `run.json`, `study.resolved.yaml`,
            `report/trials.parquet`, `report/transfer.csv` and `selection/selection.json`; the page says which of
            them are not there yet.

    Returns:
        The path of the page.

    Raises:
        UserError: `run_dir` is no study directory, or a file in it is damaged.
    """
    from search.report.write import write_report as write

    return write(run_dir)
