"""Send a study to a cluster as a Ray job, follow its output, and return its exit code."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from cluster.auth import TOKEN_HINT, find_token, is_loopback, refuse_unsafe_environment
from cluster.errors import ClusterError

_REACH_TIMEOUT_S = 5.0
_RECONNECT_PAUSE_S = 2.0
_AGENT_WAIT_S = 60.0  # a head node that has just started answers before it can run jobs
# What the driver on the cluster needs set before Ray is imported there; see cluster.connect for the reasons.
_JOB_ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "PYTHONUNBUFFERED": "1",
}
# A job's environment is readable by everyone who holds the cluster's token.
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$", re.IGNORECASE)
# What a shell returns for a program ended by Ctrl-C.
EXIT_INTERRUPTED = 130


def submit(
    *,
    address: str,
    working_dir: Path,
    entrypoint: Sequence[str],
    on_line: Callable[[str], None],
    submission_id: str | None = None,
    env_vars: Mapping[str, str] | None = None,
    follow: bool = True,
) -> int:
    """Upload `working_dir`, run `entrypoint` in it on the cluster, and follow it to its end.

    The command runs with the cluster's own Python on its head node, in the uploaded copy; what .gitignore and
    .rayignore name stays behind. Data does not travel: the study's paths must be valid on the cluster.
    Ctrl-C stops following and leaves the job running.

    Args:
        address: The dashboard's address, http://host:8265.
        working_dir: The folder to upload, less than 512 MiB.
        entrypoint: The command, one argument an item.
        on_line: Called with each line of the job's output and of ours, without its line end.
        submission_id: A name of one's own; an id used before is refused by Ray.
        env_vars: Environment of the job; no secrets.
        follow: False returns as soon as the job is submitted.

    Returns:
        The exit code of the command; 0 when not followed; 130 when following was interrupted.

    Raises:
        ClusterError: Unreachable address, missing or wrong token, a folder too large, a refused job.
    """
    refuse_unsafe_environment()
    if not working_dir.is_dir():
        raise ClusterError(f"{working_dir} is not a folder.", hint="Give the folder that holds the study's file.")
    _refuse_secrets(env_vars or {})
    client = open_client(address)
    runtime_env = {"working_dir": str(working_dir), "env_vars": {**_JOB_ENVIRONMENT, **(env_vars or {})}}
    with _explained(address):
        job_id = _submit_when_ready(
            client, entrypoint=shlex.join(entrypoint), runtime_env=runtime_env, submission_id=submission_id
        )
    on_line(f"Submitted {job_id} to {address}.")
    if not follow:
        _say_how_to_go_on(address, job_id, on_line)
        return 0
    return follow_job(address=address, job_id=job_id, on_line=on_line)


def follow_job(*, address: str, job_id: str, on_line: Callable[[str], None]) -> int:
    """Pass on a job's output from its first line, and return its exit code; see `submit`."""
    client = open_client(address)
    try:
        with _explained(address):
            asyncio.run(_pass_on(client, job_id, on_line))
            return _exit_code(client.get_job_info(job_id), on_line)
    except KeyboardInterrupt:
        on_line(f"Stopped following; {job_id} goes on.")
        _say_how_to_go_on(address, job_id, on_line)
        return EXIT_INTERRUPTED
    except ClusterError:
        on_line(f"Following {job_id} ended early; the job itself may go on.")
        _say_how_to_go_on(address, job_id, on_line)
        raise


def stop_job(*, address: str, job_id: str) -> None:
    """Ask a job to end; its driver gets SIGTERM, and SIGKILL some seconds later."""
    with _explained(address):
        open_client(address).stop_job(job_id)


def open_client(address: str) -> Any:
    """A client of the Jobs API at `address` (ray.job_submission.JobSubmissionClient), tried once.

    Raises:
        ClusterError: Not an http address, nobody answers, or the token is missing or wrong.
    """
    url = address if "://" in address else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise ClusterError(
            f"{address} is not a dashboard's address.", hint="Studies are submitted to http://host:8265."
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    _check_reachable(parts.hostname, port)
    token = find_token()
    if token is None and not is_loopback(parts.hostname):
        raise ClusterError(f"No token for the cluster at {address}.", hint=TOKEN_HINT)
    from ray.job_submission import JobSubmissionClient

    for name in ("ray.dashboard.modules", "ray._private.runtime_env.packaging"):
        logging.getLogger(name).setLevel(logging.WARNING)  # uploads and closed sockets are told by on_line
    # The header is ours: Ray reads its own settings once, and only if RAY_AUTH_MODE was set by then.
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with _explained(address):
        return JobSubmissionClient(url.rstrip("/"), headers=headers)


def _submit_when_ready(client: Any, **job: Any) -> str:
    deadline = time.monotonic() + _AGENT_WAIT_S
    while True:
        try:
            return cast(str, client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RECONNECT_PAUSE_S)


async def _pass_on(client: Any, job_id: str, on_line: Callable[[str], None]) -> None:
    async for line in _lines(client, job_id):
        on_line(line)


async def _lines(client: Any, job_id: str) -> AsyncIterator[str]:
    """A job's lines to its end, through lost connections: the log is sent from its start each time."""
    num_passed = 0
    while True:
        num_seen, rest = 0, ""
        # A lost connection; the status, asked for next, tells whether the cluster is lost as well.
        with suppress(RuntimeError, OSError):
            async for chunk in client.tail_job_logs(job_id):
                *lines, rest = (rest + chunk).split("\n")
                for line in lines:
                    num_seen += 1
                    if num_seen > num_passed:
                        num_passed = num_seen
                        yield line.rstrip("\r")
        if client.get_job_status(job_id).is_terminal():
            if rest and num_seen == num_passed:
                yield rest
            return
        await asyncio.sleep(_RECONNECT_PAUSE_S)


def _exit_code(info: Any, on_line: Callable[[str], None]) -> int:
    status = str(getattr(info.status, "value", info.status))
    if status == "SUCCEEDED":
        return 0
    code = info.driver_exit_code
    if code is None:
        # The command itself never ran: its folder or its environment could not be made.
        on_line(f"{info.submission_id} {status.lower()}: {info.message}")
        return 1
    # Ended by signal n: what a shell would return.
    return 128 - int(code) if code < 0 else max(1, int(code))


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn what Ray and its HTTP client raise into a ClusterError with the next step."""
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:
        raise _explain(address, error) from error


def _explain(address: str, error: Exception) -> ClusterError:
    kind, text = type(error).__name__, str(error)
    if kind == "AuthenticationError":
        if find_token() is None:
            return ClusterError(f"The cluster at {address} asks for a token, and none was found.", hint=TOKEN_HINT)
        return ClusterError(f"The cluster at {address} refused the token.", hint=TOKEN_HINT)
    if "status code 413" in text or "exceeds the maximum size" in text:
        return ClusterError(
            "The folder to upload is too large for Ray (512 MiB, often less behind a proxy).",
            hint="Name data, runs and models in .rayignore; they reach the cluster by a shared path.",
        )
    if isinstance(error, ConnectionError) or kind in ("ConnectionError", "ConnectTimeout", "SSLError"):
        return ClusterError(
            f"The connection to {address} failed ({kind}).",
            hint="Is it the dashboard's address (port 8265), http or https as it was set up?",
        )
    first_line = next(iter(text.strip().splitlines()), kind)  # Ray appends the server's traceback
    return ClusterError(
        f"The cluster at {address} refused the request: {first_line[:300]}",
        hint="`recombine doctor --address ...` compares the two sides.",
    )


def _check_reachable(host: str, port: int) -> None:
    """Ray's client has no time-out of its own."""
    try:
        socket.create_connection((host, port), timeout=_REACH_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"Nobody answers at {host}:{port} ({error.strerror or 'no answer in 5 s'}).",
            hint=f"If the dashboard listens on the head node only: ssh -L {port}:127.0.0.1:{port} HEAD, "
            f"then --address http://127.0.0.1:{port}.",
        ) from error


def _refuse_secrets(env_vars: Mapping[str, str]) -> None:
    for name in env_vars:
        if _SECRET_NAME.search(name):
            raise ClusterError(
                f"{name} looks like a secret, and everyone with the token can read a job's environment.",
                hint="Put it into the nodes' own environment, or into a file only they can read.",
            )


def _say_how_to_go_on(address: str, job_id: str, on_line: Callable[[str], None]) -> None:
    ray_job = f"RAY_AUTH_MODE=token ray job {{}} --address {shlex.quote(address)}"
    on_line(f"  follow: {ray_job.format('logs')} --follow {job_id}")
    on_line(f"  status: {ray_job.format('status')} {job_id}")
    on_line(f"  stop:   {ray_job.format('stop')} {job_id}")
