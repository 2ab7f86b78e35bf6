"""Send a study to a cluster as a Ray job, follow its output, and return its exit code."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from cluster.auth import NO_TOKEN_ASKED_HINT, refuse_unsafe_environment
from cluster.errors import ClusterError
from cluster.follow_job import follow_job, say_how_to_go_on
from cluster.jobs_client import explained, open_client
from cluster.nodes.same_versions import SUBMITTER, own_versions
from cluster.stop_job import STOP_WAIT_S
from cluster.study_jobs import StudyJob, list_study_jobs, next_id, options_of

_RETRY_PAUSE_S = 2.0
_AGENT_WAIT_S = 60.0  # a head node that has just started answers before it can run jobs
# What the driver on the cluster needs set before Ray is imported there; see cluster.connect for the reasons.
_JOB_ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "PYTHONUNBUFFERED": "1",
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
}
# A job's environment is readable by everyone who holds the cluster's token.
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$", re.IGNORECASE)


def submit(
    *,
    address: str,
    folder: Path,
    entrypoint: Sequence[str],
    on_line: Callable[[str], None],
    name: str | None = None,
    study: str | None = None,
    metadata: Mapping[str, str] | None = None,
    env_vars: Mapping[str, str] | None = None,
    follow: bool = True,
) -> int:
    """Run `entrypoint` on the cluster, in `folder` there, and follow it to its end.

    The command runs with the cluster's own Python on its head node. Nothing travels: all paths must be valid on the
    cluster. Ctrl-C stops following and leaves the job running.

    Args:
        address: The dashboard's address, http://host:8265.
        folder: Where the command runs, as the cluster sees it.
        entrypoint: The command, one argument an item.
        on_line: Called with each line of the job's output and of ours, without its line end.
        name: What jobs of this kind are called on the cluster; one that still runs is attached to instead, and options
            of `recombine submit` that it lacks are named.
        study: How our verbs are told which study it is, as :func:`follow_job` takes it.
        metadata: What the dashboard shows beside the job.
        env_vars: Environment of the job; no secrets.
        follow: False returns as soon as the job is submitted.

    Returns:
        As :func:`follow_job`; 0 when not followed.

    Raises:
        ClusterError: Unreachable address, missing or wrong token, a cluster that asks for none, a refused job.
    """
    refuse_unsafe_environment()
    _refuse_secrets(env_vars or {})
    client = open_client(address, on_line)
    # No working_dir: every node unpacks it anew over what its host has, under the feet of processes that stand in it
    # (ray/_private/runtime_env/working_dir.py, overwrite=True), which MKL ends: "Cannot load libtorch_cpu.so".
    runtime_env = {"env_vars": {**_JOB_ENVIRONMENT, SUBMITTER: own_versions().to_text(), **(env_vars or {})}}
    with explained(address):
        _require_token_asked(client, address)
        job_id = _attach_or_submit(
            client,
            name,
            on_line,
            entrypoint=to_shell(folder, entrypoint),
            runtime_env=runtime_env,
            metadata=dict(metadata or {}),
        )
    if not follow:
        say_how_to_go_on(address, job_id, on_line, study)
        return 0
    options = options_of(shlex.join(entrypoint))
    return follow_job(address=address, job_id=job_id, on_line=on_line, study=study, options=options)


def to_shell(folder: Path, entrypoint: Sequence[str]) -> str:
    """Returns what the head's shell is given: the command in its folder, or 2 and what the head lacks.

    Args:
        folder: Where the command runs.
        entrypoint: The command, one argument an item.
    """
    program, place = entrypoint[0], shlex.quote(str(folder))
    no_folder = f"error: the head has no folder {folder}: every node mounts the same storage under the same path"
    no_program = f"error: {program} is not on the PATH of the head's Ray: install Recombine where `ray start` finds it"
    ends = (f"{{ printf '%s\\n' {shlex.quote(words)} >&2; exit 2; }}" for words in (no_folder, no_program))
    tests = (f"cd {place} 2>/dev/null", f"command -v {shlex.quote(program)} >/dev/null")
    checks = (f"{test} || {end}" for test, end in zip(tests, ends, strict=True))
    return "; ".join((*checks, f"exec {shlex.join(entrypoint)}"))  # exec: signals reach the command itself


def _require_token_asked(client: Any, address: str) -> None:
    if not client.asks_for_token():
        raise ClusterError(
            f"The cluster at {address} asks for no token: whoever reaches its ports could run code there.",
            hint=NO_TOKEN_ASKED_HINT,
        )


def _attach_or_submit(client: Any, name: str | None, on_line: Callable[[str], None], **job: Any) -> str:
    running = _running(client, name)
    if running is None:
        return _submit_when_ready(client, name, on_line, **job)
    on_line(f"{running.job_id} runs this study already: attached to it.")
    _say_what_it_lacks(running, on_line, job["entrypoint"])
    return running.job_id


def _say_what_it_lacks(running: StudyJob, on_line: Callable[[str], None], entrypoint: str) -> None:
    lacking = [option for option in options_of(entrypoint) if option not in running.options]
    if lacking:
        on_line(f"It was started without {' and '.join(lacking)}: when it has ended, give the same command again.")


def _running(client: Any, name: str | None) -> StudyJob | None:
    jobs = [] if name is None else list_study_jobs(client, name)
    return next((job for job in jobs if not job.has_ended), None)


def _submit_when_ready(client: Any, name: str | None, on_line: Callable[[str], None], **job: Any) -> str:
    deadline = time.monotonic() + _AGENT_WAIT_S
    while True:
        job_id = None if name is None else next_id(name, list_study_jobs(client, name))
        try:
            given = cast(str, client.submit_job(submission_id=job_id, **job))
        except RuntimeError as error:
            if job_id is not None and "already exists" in str(error) and (other := _running(client, name)):
                on_line(f"{other.job_id} was submitted at the same time: attached to it.")
                _say_what_it_lacks(other, on_line, job["entrypoint"])
                return other.job_id
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_PAUSE_S)
        else:
            on_line(f"Submitted {given}.")
            return given


def _refuse_secrets(env_vars: Mapping[str, str]) -> None:
    for name in env_vars:
        if _SECRET_NAME.search(name):
            raise ClusterError(
                f"{name} looks like a secret, and everyone with the token can read a job's environment.",
                hint="Put it into the nodes' own environment, or into a file only they can read.",
            )
