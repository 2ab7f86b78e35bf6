"""`recombine submit`, `jobs`, `attach`, `logs`, `stop`: studies as jobs of a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.verbs.arguments import AcceptLoss, Overrides, RunDirOption, StudyFile, TopUpOption

job_app = typer.Typer()

AllowMismatch = Annotated[
    bool,
    typer.Option("--allow-mismatch", help="nodes may run other patch versions of Recombine, Python or Ray"),
]
Dashboard = Annotated[str, typer.Option("--address", help="the cluster's dashboard, http://host:8265")]


@job_app.command()
def submit(
    study: StudyFile,
    address: Dashboard,
    overrides: Overrides = None,
    run_dir: RunDirOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="return as soon as the job is submitted")] = False,
    accept_loss: AcceptLoss = False,
    allow_mismatch: AllowMismatch = False,
    topup: TopUpOption = False,
) -> None:
    """Run a study as a Ray job on a cluster; follows its output and ends with its exit code.

    Given again, it attaches to the job while that runs, resumes the study where it was stopped, and names the report
    of one that has ended (with --topup: trains what is left of it). Exit code 75: give it again. The cluster has not
    answered for a minute, and the job may go on; or the cluster was started anew.
    """
    from search.cli.jobs import submit_study

    options = {"accept_loss": accept_loss, "allow_mismatch": allow_mismatch, "with_top_up": topup}
    raise typer.Exit(submit_study(study, overrides or [], run_dir, address, follow=not no_wait, **options))


@job_app.command()
def jobs(address: Dashboard) -> None:
    """List the studies that were submitted to a cluster, the latest first."""
    from search.cli.jobs import list_jobs

    list_jobs(address)


@job_app.command()
def attach(study: StudyFile, address: Dashboard, overrides: Overrides = None, run_dir: RunDirOption = None) -> None:
    """Follow the latest job of a study from its first line; ends with its exit code, Ctrl-C leaves it running."""
    from search.cli.jobs import follow_study

    raise typer.Exit(follow_study(study, overrides or [], run_dir, address))


@job_app.command()
def logs(study: StudyFile, address: Dashboard, overrides: Overrides = None, run_dir: RunDirOption = None) -> None:
    """Print what the latest job of a study has said so far."""
    from search.cli.jobs import print_logs

    print_logs(study, overrides or [], run_dir, address)


@job_app.command()
def stop(study: StudyFile, address: Dashboard, overrides: Overrides = None, run_dir: RunDirOption = None) -> None:
    """Ask the job of a study to save and end, and wait until it has; says how it goes on."""
    from search.cli.jobs import stop_study

    stop_study(study, overrides or [], run_dir, address)
