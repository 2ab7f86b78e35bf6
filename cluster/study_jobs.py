"""The jobs of a study on a cluster: named after its directory, so that the same command finds them again.

A cluster forgets its jobs when it ends, and refuses a name that it has seen; attempts are therefore numbered.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "recombine-"
_ATTEMPT: Final = re.compile(r"-try(\d+)$")
# KubeRay's `GenerateRayJobId`: the RayJob's name and five of the characters that Kubernetes draws from, no vowels.
_OF_RAYJOB: Final = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2-9]{5}")
# Options of `recombine submit` that are the job's as well, and stand in its command.
_OPTIONS: Final = ("--accept-loss", "--allow-mismatch", "--topup")
_ACCEPT_LOSS: Final = "--accept-loss"
# Shown beside a job in the dashboard, and read back here.
_STUDY, _RUN_DIR = "study", "run_dir"
_SHOWN_TARGETS, _LONGEST_TARGETS = 8, 400  # a study may have fifty, and the tab's cell grows with its text


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyJob:
    """A job that runs a study.

    Args:
        job_id: Its id on the cluster.
        study: Name of the study.
        run_dir: Its directory.
        status: ``PENDING``, ``RUNNING``, ``STOPPED``, ``SUCCEEDED`` or ``FAILED``.
        started_s: When it began, in seconds since 1970; None before.
        entrypoint: Its command, as the head's shell was given it.
    """

    job_id: str
    study: str
    run_dir: str
    status: str
    started_s: float | None
    entrypoint: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `recombine submit` that it was started with."""
        return options_of(self.entrypoint)

    @property
    def has_ended(self) -> bool:
        """Whether it will not go on."""
        return self.status not in ("PENDING", "RUNNING")

    @property
    def name(self) -> str | None:
        """What :func:`name_of` calls its directory, whoever has chosen its id; None where it names none."""
        return name_of(Path(self.run_dir)) if self.run_dir else None

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        found = _ATTEMPT.search(self.job_id)
        return int(found[1]) if found else 0


def options_of(entrypoint: str) -> tuple[str, ...]:
    """Returns the options of `recombine submit` in a job's command.

    Args:
        entrypoint: The command, as a shell takes it; whoever wrote it (a RayJob's is its user's).
    """
    try:
        words = shlex.split(entrypoint)
    except ValueError:  # no closing quotation
        words = entrypoint.split()
    return tuple(option for option in _OPTIONS if option in words)


def name_of(run_dir: Path) -> str:
    """Returns what all jobs of a study begin with.

    Args:
        run_dir: The study's directory.
    """
    place = run_dir.resolve()
    words = re.sub(r"[^a-z0-9]+", "-", place.name.lower()).strip("-")[:40] or "study"
    return f"{PREFIX}{words}-{hashlib.sha256(str(place).encode()).hexdigest()[:10]}"


def metadata_of(study: str, run_dir: Path, targets: Sequence[str]) -> dict[str, str]:
    """Returns what the dashboard shows beside a job.

    Args:
        study: Name of the study.
        run_dir: Its directory.
        targets: Names of its targets; the first few are shown.
    """
    shown = ", ".join(targets[:_SHOWN_TARGETS])[:_LONGEST_TARGETS]
    more = len(targets) - _SHOWN_TARGETS
    return {
        _STUDY: study,
        _RUN_DIR: str(run_dir.resolve()),
        "targets": f"{shown} and {more} more" if more > 0 else shown,
    }


def next_id(name: str, jobs: list[StudyJob]) -> str:
    """Returns the id of a study's next attempt.

    Args:
        name: What its jobs begin with.
        jobs: Those that the cluster knows.
    """
    return f"{name}-try{max((job.attempt for job in jobs), default=0) + 1}"


def how_to_go_on(job_id: str, study: str, address: str, options: Sequence[str] = ()) -> str:
    """Returns what a user does to go on with the study of a job that was stopped, or is gone.

    KubeRay ends a RayJob's cluster with its job, so that nothing is to be submitted there.

    Args:
        job_id: The job.
        study: Arguments by which our verbs find the study, as a shell takes them.
        address: The dashboard's address.
        options: Those of `recombine submit` that the job was started with; a loss is not accepted twice by itself.
    """
    again = "".join(f" {option}" for option in options if option != _ACCEPT_LOSS)
    submit = f"recombine submit {study} --address {shlex.quote(address)}{again}"
    if _ATTEMPT.search(job_id):
        return f"The study goes on from there: {submit}"
    rayjob = _OF_RAYJOB.fullmatch(job_id)
    anew = f"kubectl delete rayjob {rayjob[1] if rayjob else 'NAME'}, then kubectl apply -f its file"
    words = f"The study goes on from there as a new RayJob, for KubeRay ends this cluster: {anew}"
    return words if rayjob else f"{words}. Where no RayJob has started it: {submit}"


def list_study_jobs(client: Any, name: str | None = None) -> list[StudyJob]:
    """Lists the jobs that run studies, the latest first.

    Args:
        client: Of the Jobs API.
        name: Only those of one study, as :func:`name_of` has it: named so, or running in its directory (KubeRay's).
    """
    found = [
        StudyJob(
            job_id=job.submission_id,
            study=(job.metadata or {}).get(_STUDY, ""),
            run_dir=(job.metadata or {}).get(_RUN_DIR, ""),
            status=str(getattr(job.status, "value", job.status)),
            started_s=job.start_time / 1000 if job.start_time else None,
            entrypoint=job.entrypoint or "",
        )
        for job in client.list_jobs()
        if (job.submission_id or "").startswith(PREFIX)
    ]
    wanted = [job for job in found if name is None or name in (_ATTEMPT.sub("", job.job_id), job.name)]
    return sorted(wanted, key=lambda job: (job.started_s or 0.0, job.attempt), reverse=True)
