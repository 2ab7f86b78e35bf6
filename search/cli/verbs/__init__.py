"""The command `recombine`: one verb a function; what is heavy is imported when a verb needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.verbs.study import app, main


def _tell_versions(is_asked: bool) -> None:
    if is_asked:
        from search.cli.verbs.versions import version_text

        typer.echo(version_text())
        raise typer.Exit


@app.callback()
def _recombine(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_versions, help="Show the versions that an answer depends on."
        ),
    ] = False,
) -> None:
    pass


__all__ = ["app", "main"]
