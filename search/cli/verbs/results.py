"""The verbs of what a study found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

results_app = typer.Typer()

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="the study directory")]


@results_app.command()
def status(run: RunArgument) -> None:
    """Show how far a study is, its best trials and its failures; needs no cluster."""
    from search.cli.status import show_status
    from search.study.run_dir import RunDir

    show_status(RunDir(run))


@results_app.command()
def export(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder to write to")],
    trainer: Annotated[str, typer.Option("--for", help="llama-factory | ms-swift | axolotl | trl | hf")],
    store: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="the prepared data (a folder or s3://), if no longer where they were"),
    ] = None,
) -> None:
    """Write the selection as a folder that another trainer trains: rows, images, settings, adapter and cards."""
    from search.cli.results.export import export_command

    export_command(run, folder, trainer, store)


@results_app.command()
def verify(run: RunArgument) -> None:
    """Check a study directory: every file's hash, and every number computed again from the stored answers.

    Exit code 1 if something is wrong; each problem names its file. Needs neither the data nor a cluster.
    """
    from search.cli.results.verify import verify_command

    raise typer.Exit(verify_command(run))
