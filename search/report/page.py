"""The page: the template, its scripts and the policy that pins them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from search.report.figures.figure import Figure
from search.report.figures.heatmap import TransferHeatmap
from search.report.run_files import RunRecords
from search.report.sections.answer import compute_answer
from search.report.sections.best_sources import BEST_COLUMNS, compute_best_sources
from search.report.sections.blind import blind_split, compute_blind
from search.report.sections.cell_trials import compute_cell_trials
from search.report.sections.data import compute_data_table
from search.report.sections.design import compute_design_page
from search.report.sections.effects import EFFECT_COLUMNS, compute_effect_table
from search.report.sections.free_answers import compute_free_answers
from search.report.sections.provenance import compute_provenance
from search.report.sections.subgroups import (
    CLASS_COLUMNS,
    RELIABILITY_COLUMNS,
    RETAINED_COLUMNS,
    STRATUM_COLUMNS,
    compute_finding_tables,
)
from search.report.sections.time_use import compute_time_use
from search.report.sections.trial_details import TrialDetails, compute_trial_details
from search.report.sections.trials import TrialTable
from search.report.self_contained import (
    chart_library,
    content_security_policy,
    csv_text,
    mark_commands,
    packed_json,
)

# A table of 53 x 53 cells would be 1.5 MB of the page; the packed CSV holds them all in a tenth of that.
MAX_TABLE_CELLS = 600
# Of every score, without what runs and times of trials leave: those are in trials.parquet.
SCORE_COLUMNS = (
    "train_id", "rung", "stage", "arm", "composition", "recipe", "seed", "eval_set", "exposure", "split", "n",
    "correct", "accuracy", "ci_low", "ci_high", "gain", "cg_gain", "num_train_samples", "num_steps", "status",
    "proposal_index", "score",
)  # fmt: skip
# In this order: a script uses what those before it declare.
SCRIPTS = ("packed", "trials", "tables", "matrix", "charts")


def render_page(
    records: RunRecords,
    figures: dict[str, Figure],
    heatmap: TransferHeatmap,
    trial_table: TrialTable,
    drawings: Mapping[str, str] | None = None,
) -> str:
    """The whole page as one HTML text that loads nothing.

    Args:
        records: A run's files.
        figures: What `build_figures` returned.
        heatmap: What `compute_transfer_heatmap` returned.
        trial_table: What `compute_trial_table` returned.
        drawings: Each figure that has something to draw as SVG, for a page without scripts.

    Returns:
        HTML.
    """
    has_scripts = drawings is None
    details = compute_trial_details(records, [row.train_id.sort_key for row in trial_table.listed])
    library = chart_library() if has_scripts and any(figure.draw for figure in figures.values()) else ""
    behaviour = _behaviour() if has_scripts else ""
    # The scripts are files of this package; nothing of a study is in them.
    return _template().render(
        has_scripts=has_scripts,
        behaviour=Markup(behaviour),
        policy=content_security_policy([text for text in (library, behaviour) if text]),
        packed=_packed(records, figures, details, library) if has_scripts else {},
        figures=figures,
        drawings={name: Markup(svg) for name, svg in (drawings or {}).items()},
        trials=trial_table,
        details={} if has_scripts else details.for_flat_page(),
        are_details_cut=not has_scripts and details.is_long,
        **_matrix(heatmap, MAX_TABLE_CELLS if has_scripts else None),
        **_sections(records),
    )


def _template() -> Template:
    """The page's template, with its style: a file of this package, in which nothing of a study is."""
    environment = Environment(
        loader=PackageLoader("search.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commands"] = mark_commands
    style = (files("search.report") / "templates" / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2", globals={"style": Markup(style)})


def _matrix(heatmap: TransferHeatmap, most_cells: int | None) -> dict[str, Any]:
    """What is said of the transfer matrix beside its picture."""
    return {
        "transfer": _ordered_cells(heatmap, most_cells),
        "sources": heatmap.sources,
        "target_names": heatmap.targets,
        "best_sources": compute_best_sources(heatmap),
        "best_columns": BEST_COLUMNS,
    }


def _sections(records: RunRecords) -> dict[str, Any]:
    """What follows from a run's files alone."""
    blind = compute_blind(records)
    return {
        "records": records,
        "answer": compute_answer(records),
        "data": compute_data_table(records),
        "blind": blind,
        "blind_split": blind_split(records),
        "beside": {row.name: row for row in blind},
        "free_answers": compute_free_answers(records),
        "time": compute_time_use(records),
        "design": compute_design_page(records.design),
        "findings": compute_finding_tables(records),
        "effects": compute_effect_table(records),
        "effect_columns": EFFECT_COLUMNS,
        "finding_columns": {
            "classes": CLASS_COLUMNS,
            "strata": STRATUM_COLUMNS,
            "retained": RETAINED_COLUMNS,
            "reliability": RELIABILITY_COLUMNS,
        },
        "provenance": compute_provenance(records),
    }


def compute_downloads(records: RunRecords) -> dict[str, str]:
    """What the page offers as CSV, by name; a column has the numbers, rounded, that it has in the file beside the page.

    Args:
        records: A run's files.
    """
    trials = records.trials.assign(accuracy=records.trials["recorded_accuracy"])
    return {"transfer.csv": csv_text(records.transfer), "trials.csv": csv_text(trials[[*SCORE_COLUMNS]])}


def _behaviour() -> str:
    """The scripts as one, so that none of their names is seen from outside."""
    folder = files("search.report") / "templates" / "scripts"
    texts = ((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    return '"use strict";\n(() => {\n' + "\n".join(texts) + "})();\n"


def _packed(
    records: RunRecords, figures: Mapping[str, Figure], details: TrialDetails, library: str
) -> dict[str, Markup]:
    """What the scripts read."""
    specs: dict[str, Any] = {name: figure.spec("container") for name, figure in figures.items() if figure.draw}
    return {
        "charts": packed_json(specs | {"singles": compute_cell_trials(records)}),
        "trials": packed_json(details.as_json()),
        "library": packed_json(library),
        "downloads": packed_json(compute_downloads(records)),
    }


def _ordered_cells(heatmap: TransferHeatmap, most: int | None) -> list[dict[str, Any]]:
    """The cells as a table in the heatmap's order; none when they are more than may be."""
    if most is not None and len(heatmap.cells) > most:
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
