"""`recombine submit` and what asks about its job afterwards: `jobs`, `attach`, `logs`, `stop`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.errors import RecombineError, UserError
from search.cli.console import print_line, print_note, print_table
from search.designs.backbones import backbone_studies
from search.evidence.explain.wanted_trials import read_wanted
from search.ledger.records import Kind
from search.ledger.tries import to_try_again
from search.results.study_end import final_page, missing_end
from search.study.load_study import load_study
from search.study.run_dir import RunDir, holds_exactly, run_dir_of
from search.study.study import Study

if TYPE_CHECKING:
    from cluster.study_jobs import StudyJob


def submit_study(
    study_file: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    address: str,
    *,
    follow: bool,
    accept_loss: bool = False,
    allow_mismatch: bool = False,
    with_top_up: bool = False,
) -> int:
    """Run a study as a Ray job; study file, data and directory lie on storage that the cluster sees too.

    The study is checked here first, so that a mistake costs no job. One that has ended is not run again, unless for
    its top-up (of which nothing is trained twice), and one that runs is attached to.
    """
    from cluster.study_jobs import metadata_of, name_of
    from cluster.submit import submit

    study = load_study(study_file, overrides)
    directory = run_dir_of(study_file, study.spec, run_dir)
    if with_top_up:
        for place, _ in _parts(directory, study):
            read_wanted(place)
    elif has_ended(directory, study):
        print_line(f"this study has ended; report: {directory / final_page(directory)}")
        return 0
    command = ["recombine", "run", str(study_file.resolve()), *overrides, "--run-dir", str(directory.root.resolve())]
    options = {"--accept-loss": accept_loss, "--allow-mismatch": allow_mismatch, "--topup": with_top_up}
    command += [option for option, is_given in options.items() if is_given]
    return submit(
        address=address,
        folder=study_file.resolve().parent,
        entrypoint=command,
        name=name_of(directory.root),
        study=_as_typed(study_file, overrides, run_dir),
        metadata=metadata_of(study.spec.name, directory.root, study.spec.eval_sets),
        on_line=print_line,
        follow=follow,
    )


def has_ended(directory: RunDir, study: Study) -> bool:
    """Whether a directory holds this very study, over on all of its backbones and with a page to show for it.

    One that another start would try something of again has not (`to_try_again`).
    """
    try:
        return missing_end(directory) is None and all(
            holds_exactly(place, each.spec) and not to_try_again([*place.read_records(), {"kind": Kind.writer}])
            for place, each in _parts(directory, study)
        )
    except RecombineError:
        return False  # the job says what is wrong with it


def _parts(directory: RunDir, study: Study) -> list[tuple[RunDir, Study]]:
    several = backbone_studies(study)
    return [(directory.of_backbone(name), each) for name, each in several.items()] or [(directory, study)]


def list_jobs(address: str) -> None:
    """Print the jobs that run studies on a cluster, the latest first."""
    from cluster.jobs_client import explained, open_client
    from cluster.study_jobs import list_study_jobs

    client = open_client(address, print_note)
    with explained(address):
        jobs = list_study_jobs(client)
    if not jobs:
        print_line(f"no study was submitted to {address} since it started")
        return
    rows = [[job.study, job.status.lower(), _shown(job.started_s), job.run_dir, job.job_id] for job in jobs]
    print_table("Studies on this cluster", ["study", "status", "started (UTC)", "directory", "job"], rows)


def follow_study(study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str) -> int:
    """Pass on the output of a study's latest job from its first line, to its end."""
    from cluster.follow_job import follow_job

    job = _latest(study_file, overrides, run_dir, address)
    about = _as_typed(study_file, overrides, run_dir)
    return follow_job(address=address, job_id=job.job_id, on_line=print_line, study=about, options=job.options)


def print_logs(study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str) -> None:
    """Print what a study's latest job has said so far."""
    from cluster.jobs_client import explained, open_client

    job = _latest(study_file, overrides, run_dir, address)
    with explained(address):
        text = open_client(address).get_job_logs(job.job_id)
    for line in text.splitlines():
        print_line(line)


def stop_study(study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str) -> None:
    """Ask a study's job to end, and wait for that; the same study goes on from there."""
    from cluster.stop_job import stop_job
    from cluster.study_jobs import how_to_go_on

    job = _latest(study_file, overrides, run_dir, address)
    if job.has_ended:
        print_line(f"{job.job_id} has ended already ({job.status.lower()})")
        return
    stop_job(address=address, job_id=job.job_id, on_line=print_line)
    print_line(how_to_go_on(job.job_id, _as_typed(study_file, overrides, run_dir), address, job.options))


def _latest(study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str) -> StudyJob:
    from cluster.jobs_client import explained, open_client
    from cluster.study_jobs import list_study_jobs, name_of

    directory = run_dir_of(study_file, load_study(study_file, overrides).spec, run_dir)
    client = open_client(address, print_note)
    with explained(address):
        jobs = list_study_jobs(client, name_of(directory.root))
    if not jobs:
        raise UserError(
            f"the cluster at {address} has no job of {directory}",
            hint="`recombine jobs --address ADDRESS` lists those it has; `recombine submit` starts one",
        )
    return jobs[0]


def _as_typed(study_file: Path, overrides: Sequence[str], run_dir: Path | None) -> str:
    """A study as our verbs take it from a shell."""
    return shlex.join([str(study_file), *overrides, *(() if run_dir is None else ("--run-dir", str(run_dir)))])


def _shown(started_s: float | None) -> str:
    return "-" if started_s is None else datetime.fromtimestamp(started_s, UTC).strftime("%Y-%m-%d %H:%M")
