"""What `recombine report` writes and the terminal shows of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.cli.console import print_line, print_table
from search.cli.design import show_design
from search.designs.backbones import (
    backbone_studies,
    carry_over_lines,
    comparison_columns,
    comparison_rows,
    write_comparison,
)
from search.designs.files import read_design
from search.evidence.blind import no_image_shares
from search.evidence.finding.finding import read_finding
from search.evidence.matrix.verdicts import NO_CLAIM
from search.evidence.run_summary import summarise_run, write_summary
from search.ledger.ledger import LedgerLockedError
from search.statistics.ties import descending
from search.study.load_study import load_study
from search.study.run_dir import RunDir, RunFile, run_dir_of
from search.study.study import Study

TOP_CELLS = 8  # cells of the transfer matrix shown on the terminal; the rest is in transfer.csv


def show_backbones(places: Mapping[str, RunDir], directory: RunDir) -> None:
    """Print one design on every backbone, and where the tables lie."""
    tables = {name: table for name, place in places.items() if (table := read_design(place)) is not None}
    print_table("The same design on every backbone, in points", comparison_columns(tables), comparison_rows(tables))
    for line in carry_over_lines(tables):
        print_line(line)
    print_line(f"comparison: {write_comparison(tables, directory)}")


def report_command(
    study_file: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    summary: Path | None = None,
    *,
    is_flat: bool = False,
) -> None:
    """Write a study's results again from its ledger, and its summary where one is asked for."""
    from search.results.write_results import write_results

    def write(each: Study, place: RunDir) -> Path:
        try:
            return write_results(each, place, is_flat=is_flat)
        except LedgerLockedError:
            print_line("a run of this study goes on: it lists the hashes of its results when it ends")
            return place / RunFile.page

    study = load_study(study_file, overrides)
    directory = run_dir_of(study_file, study.spec, run_dir)
    several = backbone_studies(study)
    for name, each in several.items():
        show_findings(directory.of_backbone(name), write(each, directory.of_backbone(name)))
    if several:
        show_backbones({name: directory.of_backbone(name) for name in several}, directory)
    else:
        show_findings(directory, write(study, directory))
    if summary is not None:
        write_summary(summarise_run(directory), summary)
        print_line(f"summary: {summary}")


def show_findings(run_dir: RunDir, report: Path) -> None:
    """Print the selection, the top of the transfer matrix and where the report is."""
    table = read_design(run_dir)
    if table is not None:
        show_design(table)
    selection_file = run_dir / RunFile.selection
    if selection_file.is_file():
        selection = json.loads(selection_file.read_text(encoding="utf-8"))
        _show_selection(selection, _read_blind(run_dir))
    _show_matrix(run_dir / RunFile.transfer)
    print_line(f"for a paper: {run_dir / RunFile.appendix_markdown}, and the same as LaTeX")
    print_line(f"report: {report}")


def _show_selection(selection: Mapping[str, Any], blind: Mapping[str, Mapping[str, Any]]) -> None:
    finding = read_finding(selection, {"confirm": no_image_shares(blind)})
    print_line(finding.headline)
    title = "Train on" if finding.recommends else "The mix that was selected"
    print_table(title, ["subset", "samples"], [[name, str(n)] for name, n in sorted(selection["composition"].items())])
    print_line(selection["verdict"])
    for caution in finding.cautions:
        print_line(f"caution: {caution}")
    print_line(f"next: {finding.next_step}")


def _read_blind(run_dir: RunDir) -> Mapping[str, Mapping[str, Any]]:
    path = run_dir / RunFile.run
    found = json.loads(path.read_text(encoding="utf-8")).get("blind") if path.is_file() else None
    return found or {}


def _show_matrix(path: Path) -> None:
    import pandas as pd

    if not path.is_file():
        return
    frame = pd.read_csv(path)
    if frame.empty:
        return
    leading = frame["cg_gain"].fillna(frame["gain"])
    largest = descending(leading.fillna(float("-inf")).to_numpy(dtype=float))
    top = frame.iloc[largest[:TOP_CELLS]]
    rows = [
        [
            str(cell.source),
            str(cell.target),
            str(cell.shared_elements) if isinstance(cell.shared_elements, str) else "-",
            _points(cell.gain),
            _points(cell.cg_gain),
            "-" if _is_missing(cell.ci_low) else f"{_points(cell.ci_low)} to {_points(cell.ci_high)}",
            f"{cell.n} / {cell.seeds}",
            str(cell.verdict).partition(":")[0],
        ]
        for cell in top.itertuples()
    ]
    columns = ["source", "target", "shared", "gain", "CG gain", "interval", "n / seeds", "verdict"]
    print_table(f"Transfer matrix, top {len(rows)} of {len(frame)} cells (points of accuracy)", columns, rows)
    if (frame["verdict"] == NO_CLAIM).any():
        print_line(
            "no claim: these cells have one seed, and no training was repeated, so that they may be nothing but their "
            "seed; transfer.repeats: 2 and `recombine run` train two sources again"
        )


def _points(value: Any) -> str:
    return "-" if _is_missing(value) else f"{100 * value:+.1f}"


def _is_missing(value: Any) -> bool:
    return value is None or math.isnan(value)
