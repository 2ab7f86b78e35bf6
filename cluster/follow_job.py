"""A job's output from its first line to its end, through lost connections."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

from cluster import jobs_client
from cluster.errors import ClusterError
from cluster.jobs_client import (
    JobForgottenError,
    explained,
    forgotten_job,
    is_from_proxy,
    is_unknown_job,
    lost_connection,
    open_client,
)
from cluster.study_jobs import how_to_go_on

_RECONNECT_PAUSE_S = 2.0
# What Ray (2.60) writes into a job's log before the job does: our command line, for the shell.
_OF_RAY = re.compile(r"^\S+ \S+\s+INFO job_manager\.py:\d+ -- |^Running entrypoint for job ")
# What a shell returns for a program ended by Ctrl-C, and by SIGTERM.
EXIT_INTERRUPTED = 130
EXIT_STOPPED = 143


def follow_job(
    *,
    address: str,
    job_id: str,
    on_line: Callable[[str], None],
    study: str | None = None,
    options: Sequence[str] = (),
) -> int:
    """Passes on a job's output from its first line.

    Args:
        address: The dashboard's address.
        job_id: The job; the cluster has named it before, so that one it does not know was known to an earlier cluster.
        on_line: Called with each line.
        study: Arguments by which our verbs find the study of the job, as a shell takes them; None for other jobs.
        options: Those of `recombine submit` that the job was started with.

    Returns:
        The exit code of its command; 143 when the job was stopped; 130 when following was interrupted, which leaves it
        running.

    Raises:
        ConnectionLostError: Nobody has answered for a minute.
        JobForgottenError: The cluster was started anew and knows no such job.
        ClusterError: As for :func:`jobs_client.open_client`.
    """
    client = open_client(address)
    try:
        with explained(address):
            info = asyncio.run(_pass_on(client, address, job_id, on_line))
    except KeyboardInterrupt:
        on_line(f"Stopped following; {job_id} goes on.")
        say_how_to_go_on(address, job_id, on_line, study)
        return EXIT_INTERRUPTED
    except JobForgottenError as error:
        # Nothing is left there to follow or to stop.
        hint = error.hint if study is None else how_to_go_on(job_id, study, address, options)
        raise JobForgottenError(error.message, hint=hint) from error
    except ClusterError:
        on_line(f"Following {job_id} ended early; the job itself may go on.")
        say_how_to_go_on(address, job_id, on_line, study)
        raise
    code = _exit_code(info, on_line)
    if code == EXIT_STOPPED and study is not None:
        on_line(how_to_go_on(job_id, study, address, options))
    return code


async def _pass_on(client: Any, address: str, job_id: str, on_line: Callable[[str], None]) -> Any:
    async for line in _lines(client, address, job_id):
        if not _OF_RAY.search(line):
            on_line(line)
    return await asked(lambda: client.get_job_info(job_id), address)


async def _lines(client: Any, address: str, job_id: str) -> AsyncIterator[str]:
    """A job's lines to its end, through lost connections: the log is sent from its start each time."""
    from aiohttp import ClientError

    num_passed = 0
    while True:
        num_seen, rest = 0, ""
        # A lost connection; the job, asked for next, tells whether the cluster is lost as well.
        with suppress(RuntimeError, OSError, ClientError):
            async for chunk in _until_silent(client.tail_job_logs(job_id)):
                *lines, rest = (rest + chunk).split("\n")
                for line in lines:
                    num_seen += 1
                    if num_seen > num_passed:
                        num_passed = num_seen
                        yield line.rstrip("\r")
        if (await asked(lambda: client.get_job_info(job_id), address)).status.is_terminal():
            # Whole: the job may have ended while nobody answered.
            text = await asked(lambda: client.get_job_logs(job_id), address)
            for line in text.removesuffix("\n").split("\n")[num_passed:] if text else ():
                yield line.rstrip("\r")
            return
        await asyncio.sleep(_RECONNECT_PAUSE_S)


async def _until_silent(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    """What comes, to its end or to a minute without anything: a connection can die without a word (VPN, NAT, sleep)."""
    while True:
        async with asyncio.timeout(jobs_client.LOST_AFTER_S):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk


async def asked(question: Callable[[], Any], address: str) -> Any:
    """What the cluster answers of a job that it has named before, asked again while nobody does.

    Args:
        question: Asks it.
        address: The dashboard's address.

    Raises:
        ConnectionLostError: Nobody has answered for a minute.
        JobForgottenError: The cluster knows no such job any more.
    """
    deadline = time.monotonic() + jobs_client.LOST_AFTER_S
    while True:
        try:
            return question()
        except (OSError, RuntimeError) as error:
            if is_unknown_job(error):
                raise forgotten_job(address) from error
            # The HTTP client's errors are OSErrors; an answer that is no success is Ray's RuntimeError.
            if isinstance(error, RuntimeError) and not is_from_proxy(error):
                raise
            if time.monotonic() > deadline:
                raise lost_connection(address) from error
        await asyncio.sleep(_RECONNECT_PAUSE_S)


def _exit_code(info: Any, on_line: Callable[[str], None]) -> int:
    status = str(getattr(info.status, "value", info.status))
    if status == "SUCCEEDED":
        return 0
    if status == "STOPPED":  # by whoever asked Ray to: it keeps no exit code then, whatever the command ended with
        on_line(f"{info.submission_id} was stopped.")
        return EXIT_STOPPED
    code = info.driver_exit_code
    if code is None:
        # The command itself never ran: its folder or its environment could not be made.
        on_line(f"{info.submission_id} {status.lower()}: {info.message}")
        return 1
    # Ended by signal n: what a shell would return.
    return 128 - int(code) if code < 0 else max(1, int(code))


def say_how_to_go_on(address: str, job_id: str, on_line: Callable[[str], None], study: str | None = None) -> None:
    """Names the commands that follow, ask about and stop a job.

    Args:
        address: The dashboard's address.
        job_id: The job.
        on_line: Called with each line.
        study: As for :func:`follow_job`.
    """
    place = shlex.quote(address)
    if study is None:
        ray_job = f"RAY_AUTH_MODE=token ray job {{}} --address {place}"
        on_line(f"  follow: {ray_job.format('logs')} --follow {job_id}")
        on_line(f"  status: {ray_job.format('status')} {job_id}")
        on_line(f"  stop:   {ray_job.format('stop')} {job_id}")
    else:
        on_line(f"  follow: recombine attach {study} --address {place}")
        on_line(f"  status: recombine jobs --address {place}")
        on_line(f"  stop: recombine stop {study} --address {place}")
