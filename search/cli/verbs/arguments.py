"""What several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="the study's YAML file")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="replace values of the file")]
RunDirOption = Annotated[Path | None, typer.Option("--run-dir", help="study directory; default: runs/NAME beside it")]
Address = Annotated[str | None, typer.Option("--address", help="cluster to join, host:6379; default: a local one")]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="go on with a damaged ledger: its lost trials run again")
]
TopUpOption = Annotated[
    bool, typer.Option("--topup", help="also train what `recombine explain STUDY --sharpen EFFECT` has chosen")
]
