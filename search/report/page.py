"""The page: the template, its scripts and the policy that pins them."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from search.report.figures.all_figures import Figure
from search.report.figures.heatmap import TransferHeatmap
from search.report.run_files import RunRecords
from search.report.sections.answer import compute_answer
from search.report.sections.blind import compute_blind
from search.report.sections.data import compute_data_table
from search.report.sections.design import compute_design_page
from search.report.sections.effects import EFFECT_COLUMNS, compute_effect_table
from search.report.sections.free_answers import compute_free_answers
from search.report.sections.provenance import compute_provenance
from search.report.sections.subgroups import (
    CLASS_COLUMNS,
    RETAINED_COLUMNS,
    STRATUM_COLUMNS,
    compute_finding_tables,
)
from search.report.sections.time_use import compute_time_use
from search.report.sections.trials import TrialTable
from search.report.self_contained import (
    chart_library,
    content_security_policy,
    csv_download,
    mark_commands,
    script_json,
)

# A table of 53 x 53 cells would be 1.5 MB of the page; the CSV link holds them all in a tenth of that.
MAX_TABLE_CELLS = 600


def render_page(
    records: RunRecords, figures: dict[str, Figure], heatmap: TransferHeatmap, trial_table: TrialTable
) -> str:
    """The whole page as one HTML text that loads nothing.

    Args:
        records: A run's files.
        figures: What `build_figures` returned.
        heatmap: What `compute_transfer_heatmap` returned.
        trial_table: What `compute_trial_table` returned.

    Returns:
        HTML.
    """
    templates = files("search.report") / "templates"
    behaviour = (templates / "page.js").read_text(encoding="utf-8")
    style = (templates / "page.css").read_text(encoding="utf-8")
    drawn = {name: figure for name, figure in figures.items() if figure.draw is not None}
    library = chart_library() if drawn else ""
    environment = Environment(
        loader=PackageLoader("search.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commands"] = mark_commands
    return environment.get_template("page.html.j2").render(
        records=records,
        answer=compute_answer(records),
        figures=figures,
        specs={name: script_json(figure.spec("container")) for name, figure in drawn.items()},
        transfer=_ordered_cells(heatmap),
        trials=trial_table,
        data=compute_data_table(records),
        blind=compute_blind(records),
        beside={row.name: row for row in compute_blind(records)},
        free_answers=compute_free_answers(records),
        time=compute_time_use(records),
        design=compute_design_page(records.design),
        findings=compute_finding_tables(records),
        effects=compute_effect_table(records),
        effect_columns=EFFECT_COLUMNS,
        finding_columns={"classes": CLASS_COLUMNS, "strata": STRATUM_COLUMNS, "retained": RETAINED_COLUMNS},
        provenance=compute_provenance(records),
        downloads={
            "transfer.csv": csv_download(records.transfer),
            "trials.csv": csv_download(records.trials),
        },
        # Both texts are files of this package or of vl-convert; nothing of a study is in them.
        library=Markup(library),
        behaviour=Markup(behaviour),
        style=Markup(style),
        policy=content_security_policy([text for text in (library, behaviour) if text]),
    )


def _ordered_cells(heatmap: TransferHeatmap) -> list[dict[str, Any]]:
    """The cells as a table in the heatmap's order; none when they are too many to read and to mail."""
    if len(heatmap.cells) > MAX_TABLE_CELLS:
        return []
    place = {name: position for position, name in enumerate(heatmap.sources)}
    column = {name: position for position, name in enumerate(heatmap.targets)}
    cells: list[dict[str, Any]] = [
        {str(name): value for name, value in cell.items()} for cell in heatmap.cells.to_dict("records")
    ]
    cells.sort(key=lambda cell: (place[cell["source"]], column[cell["target"]]))
    return [{**cell, "n": _whole(cell["n"]), "seeds": _whole(cell["seeds"])} for cell in cells]


def _whole(value: Any) -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else str(int(value))
