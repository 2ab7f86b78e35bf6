"""Ask a job to end, and wait until it has: only then does the same study go on as another job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from cluster.errors import ClusterError
from cluster.follow_job import asked
from cluster.jobs_client import explained, open_client

# Ray gives a stopped job 3 s between SIGTERM and SIGKILL; running trials need longer to save what they have.
STOP_WAIT_S: Final = 60
_POLL_S = 0.5
_MARGIN_S = 30.0  # for Ray to see that the processes have gone, and to say so


class StillRunningError(ClusterError):
    """A job that was asked to end goes on after its time."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


def stop_job(*, address: str, job_id: str, on_line: Callable[[str], None]) -> None:
    """Asks a job to end: its driver gets SIGTERM, saves what runs, and SIGKILL after a minute. Returns when it is over.

    Args:
        address: The dashboard's address.
        job_id: The job.
        on_line: Called with each line of ours, without its line end.

    Raises:
        StillRunningError: It has not ended in its time.
        ConnectionLostError: Nobody has answered for a minute.
        JobForgottenError: The cluster was started anew while the job was to end.
        ClusterError: As for :func:`jobs_client.open_client`; or the cluster has no such job.
    """
    client, began = open_client(address), time.monotonic()
    with explained(address):
        client.stop_job(job_id)
        on_line(f"{job_id} is asked to end, and has {STOP_WAIT_S} s to save what runs")

        async def wait() -> None:
            while not (await asked(lambda: client.get_job_info(job_id), address)).status.is_terminal():
                if time.monotonic() - began > STOP_WAIT_S + _MARGIN_S:
                    raise StillRunningError(
                        f"{job_id} has not ended in {STOP_WAIT_S + _MARGIN_S:.0f} s.",
                        hint=f"`recombine jobs --address {address}` says whether it has since; its node may be lost.",
                    )
                await asyncio.sleep(_POLL_S)

        asyncio.run(wait())
    on_line(f"{job_id} has ended, after {time.monotonic() - began:.0f} s")
