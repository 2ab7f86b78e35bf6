"""The verbs of a study's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.verbs.arguments import Address, Overrides, RunDirOption, StudyFile

data_app = typer.Typer(no_args_is_help=True, help="Prepare and check the data of a study.")


@data_app.command("prepare")
def data_prepare(
    study: StudyFile,
    overrides: Overrides = None,
    address: Address = None,
    retry_images: Annotated[
        bool,
        typer.Option(
            "--retry-images",
            help="open images again that ended their process or ran out of memory; a study begun before cannot go on",
        ),
    ] = False,
) -> None:
    """Read, check, split and store the study's data (does nothing when they are up to date and undamaged)."""
    from search.cli.data import prepare

    prepare(study, overrides or [], address, retry_images=retry_images)


@data_app.command("check")
def data_check(
    study: StudyFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show rows, unusable rows, leakage and shortcuts on one screen; exit code 1 if something must be fixed.

    It ends with what must be fixed, then what to know; more than three such lines are one (--json has all).
    """
    from search.cli.data import check

    raise typer.Exit(check(study, overrides or [], address, as_json=as_json))


@data_app.command("leaks")
def data_leaks(
    study: StudyFile,
    overrides: Overrides = None,
    pairs: Annotated[int, typer.Option(min=1, help="how many pairs to show")] = 20,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML file to write both pictures to")] = None,
) -> None:
    """Show which rows show the same, by file and row, the most doubtful first."""
    from search.cli.leaks import leaks

    leaks(study, overrides or [], num_pairs=pairs, sheet=sheet)


@data_app.command("verify")
def data_verify(study: StudyFile, overrides: Overrides = None) -> None:
    """Compare every file of the prepared data with its hash; exit code 1 if one is damaged."""
    from search.cli.data import verify

    raise typer.Exit(verify(study, overrides or []))


@data_app.command("gc")
def data_gc(study: StudyFile, overrides: Overrides = None) -> None:
    """Remove what earlier preparations have left, unless a running study reads it."""
    from search.cli.data import gc

    gc(study, overrides or [])


@data_app.command("relations")
def data_relations(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="a subset of the catalog, or its number")],
    catalog: Annotated[str, typer.Option(help="catalog file, or a shipped catalog by name")] = "med_mat",
    task_map: Annotated[str | None, typer.Option(help="task map; default: the catalog's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show which subsets share what with a target, and how many are related."""
    from search.cli.data import show_relations

    show_relations(target, catalog, task_map, as_json=as_json)


@data_app.command("init-catalog")
def data_init_catalog(
    folder: Annotated[Path, typer.Argument(metavar="PATH", help="folder of question files, or of images by class")],
    out: Annotated[Path | None, typer.Option(help="file to write, anywhere; default: PATH/catalog.yaml")] = None,
) -> None:
    """Draft a catalog of question files and of images by class (CLASS/*, train|val|test/CLASS/*, file and label).

    Each guess says how sure it is. What no name says is left empty, and refused with its line until it is filled in.
    """
    from search.cli.data import init_catalog

    init_catalog(folder, out)


@data_app.command("unpack")
def data_unpack(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file that keeps its images inside")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder to write images and rows to")],
) -> None:
    """Write the images inside a Parquet table to files, and its rows as JSON lines that name them."""
    from search.cli.data import unpack

    unpack(table, folder)


@data_app.command("export")
def data_export(
    study: StudyFile,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder to write to")],
    export_format: Annotated[str, typer.Option("--format", help="hf | llava | sharegpt")] = "hf",
    mix: Annotated[Path | None, typer.Option(help="mix.yaml; default: the study's selection")] = None,
    run_dir: RunDirOption = None,
) -> None:
    """Write the rows of a mix.yaml as a data set of another tool, without settings or adapter.

    What also trains is written by `recombine export`, once the study has finished.
    """
    from search.cli.data import export

    export(study, folder, export_format, mix, run_dir)
