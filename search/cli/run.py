"""`recombine run` and `recombine report`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.cli.connection import InterruptedBySignalError, connected
from search.cli.console import Progress, print_line, print_table
from search.cli.design import show_design
from search.designs.backbones import backbone_studies, comparison_columns, comparison_rows, write_comparison
from search.designs.files import read_design
from search.study.load_study import Study, load_study
from search.study.objective import objective_values
from search.study.run_dir import default_run_dir

TOP_CELLS = 8  # cells of the transfer matrix shown on the terminal; the rest is in transfer.csv


def run_command(study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str | None) -> int:
    """Run or resume a study; return the exit code."""
    study = load_study(study_file, overrides)
    directory = run_dir or default_run_dir(study_file, study.spec)
    several = backbone_studies(study)
    runs = {name: (each, directory / "backbones" / name) for name, each in several.items()} or {"": (study, directory)}
    for each, place in runs.values():
        progress = Progress(lambda record: objective_values(study.spec, record))
        try:
            with progress:
                report = _run(each, place, address, progress)
        except KeyboardInterrupt as stop:
            print_line(f"stopped; finished trials are safe in {place}. The same command goes on from there.")
            return stop.exit_code if isinstance(stop, InterruptedBySignalError) else 130
        show_findings(place, report)
    if several:
        _show_backbones({name: place for name, (_, place) in runs.items()}, directory)
    return 0


def _show_backbones(places: Mapping[str, Path], directory: Path) -> None:
    tables = {name: table for name, place in places.items() if (table := read_design(place / "report")) is not None}
    print_table("The same design on every backbone, in points", comparison_columns(tables), comparison_rows(tables))
    print_line(f"comparison: {write_comparison(tables, directory)}")


def report_command(study_file: Path, overrides: Sequence[str], run_dir: Path | None) -> None:
    """Write a study's results again from its ledger."""
    from search.phases.write_results import write_results

    study = load_study(study_file, overrides)
    directory = run_dir or default_run_dir(study_file, study.spec)
    several = backbone_studies(study)
    for name, each in several.items():
        show_findings(directory / "backbones" / name, write_results(each, directory / "backbones" / name))
    if several:
        _show_backbones({name: directory / "backbones" / name for name in several}, directory)
    else:
        show_findings(directory, write_results(study, directory))


def _run(study: Study, directory: Path, address: str | None, progress: Progress) -> Path:
    from cluster.metrics import StudyMetrics
    from search.phases.run_study import run_study

    with connected(address, progress.say):
        metrics = StudyMetrics(study.spec.eval_sets)
        best: dict[str, float] = {}

        def on_record(record: Mapping[str, Any]) -> None:
            progress.on_record(record)
            samples = record["num_steps"] * record["recipe"]["batch_size"]
            metrics.count_ended(record["status"], num_samples=samples, train_s=record["train_s"])
            for score in record["evaluations"]:
                if score["split"] == "search" and score["accuracy"] > best.get(score["eval_set"], -1.0):
                    best[score["eval_set"]] = score["accuracy"]
                    metrics.set_best_accuracy(score["eval_set"], score["accuracy"])

        return run_study(study, directory, say=progress.say, on_record=on_record, on_running=metrics.set_running)


def show_findings(run_dir: Path, report: Path) -> None:
    """Print the selection, the top of the transfer matrix and where the report is."""
    table = read_design(run_dir / "report")
    if table is not None:
        show_design(table)
    selection_file = run_dir / "selection" / "selection.json"
    if selection_file.is_file():
        selection = json.loads(selection_file.read_text(encoding="utf-8"))
        print_table(
            "Selection", ["subset", "samples"], [[name, str(n)] for name, n in sorted(selection["composition"].items())]
        )
        print_line(selection["verdict"])
    _show_matrix(run_dir / "report" / "transfer.csv")
    print_line(f"report: {report}")


def _show_matrix(path: Path) -> None:
    import pandas as pd

    if not path.is_file():
        return
    frame = pd.read_csv(path)
    if frame.empty:
        return
    leading = frame["cg_gain"].fillna(frame["gain"])
    top = frame.loc[leading.sort_values(ascending=False, kind="stable").index[:TOP_CELLS]]
    rows = [
        [
            str(cell.source),
            str(cell.target),
            str(cell.shared_elements) if isinstance(cell.shared_elements, str) else "-",
            _points(cell.gain),
            _points(cell.cg_gain),
            f"{_points(cell.ci_low)} to {_points(cell.ci_high)}",
            f"{cell.n} / {cell.seeds}",
        ]
        for cell in top.itertuples()
    ]
    columns = ["source", "target", "shared", "gain", "CG gain", "95 % interval", "n / seeds"]
    print_table(f"Transfer matrix, top {len(rows)} of {len(frame)} cells (points of accuracy)", columns, rows)


def _points(value: Any) -> str:
    import math

    return "-" if value is None or math.isnan(value) else f"{100 * value:+.1f}"
