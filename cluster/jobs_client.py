"""The Jobs API of a cluster: reached once, with the token, and its refusals in words."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from cluster.auth import TOKEN_HINT, find_token, is_loopback
from cluster.errors import ClusterError

_REACH_TIMEOUT_S = 5.0
# A dashboard that is restarted, or a network that is gone, comes back within a minute or is worth a look.
LOST_AFTER_S = 60.0
# What a proxy (an ingress, a port-forward) answers when the dashboard behind it is away: as Ray's client (2.60) words
# an answer that is no success, and as `requests` does.
_NOBODY_BEHIND = re.compile(r"(?:^|status code )50[234]\b")
# Ray's own words (2.60) for a job that it does not know; a proxy's 404 has others.
_NO_SUCH_JOB = re.compile(r"status code 404\b.*\bJob \S+ does not exist", re.DOTALL)


class ConnectionLostError(ClusterError):
    """Nobody has answered for a while; the job may go on."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class JobForgottenError(ClusterError):
    """The cluster knew a job and no longer does: it was started anew, and the job ended with the old one."""

    exit_code = 75  # a loop that tries again then goes on with the study


def open_client(address: str, on_line: Callable[[str], None] | None = None) -> Any:
    """A client of the Jobs API at `address` (ray.job_submission.JobSubmissionClient), tried once.

    Args:
        address: The dashboard's address, http://host:8265.
        on_line: Told that the token travels readable, where it does.

    Raises:
        ClusterError: Not an http address, nobody answers, the token is missing or wrong, or it would cross a public
            network unencrypted.
    """
    url = address if "://" in address else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise ClusterError(
            f"{address} is not a dashboard's address.", hint="Studies are submitted to http://host:8265."
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    token = find_token()
    if token is not None and parts.scheme == "http" and not is_loopback(parts.hostname):
        _protect_token(parts.hostname, port, on_line)
    _check_reachable(parts.hostname, port)
    if token is None and not is_loopback(parts.hostname):
        raise ClusterError(f"No token for the cluster at {address}.", hint=TOKEN_HINT)
    from cluster.timed_client import TimedClient

    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)  # uploads and closed sockets are told by on_line
    # The header is ours: Ray reads its own settings once, and only if RAY_AUTH_MODE was set by then.
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with explained(address):
        return TimedClient(url.rstrip("/"), headers=headers, timeout_s=LOST_AFTER_S)


def _protect_token(host: str, port: int, on_line: Callable[[str], None] | None) -> None:
    """Refuses to send the token readable over a public network; over a private one it is said."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return  # nobody answers there, which is said next
    if any(ipaddress.ip_address(str(place).partition("%")[0]).is_global for place in found):
        raise ClusterError(
            f"{host} is a public address, and over http the token would travel readable.",
            hint=f"Use https, or a tunnel: ssh -L {port}:127.0.0.1:{port} HEAD, then --address http://127.0.0.1:{port}.",
        )
    if on_line is not None:
        on_line(f"The token goes to {host} unencrypted; who reads this network can use it.")


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turns what Ray and its HTTP client raise into a ClusterError with the next step.

    Args:
        address: The dashboard's address.
    """
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:
        raise _explain(address, error) from error


def lost_connection(address: str) -> ConnectionLostError:
    """What is said of an address that has been silent for a minute.

    Args:
        address: The dashboard's address.
    """
    return ConnectionLostError(
        f"Nobody has answered at {address} for {LOST_AFTER_S:.0f} s.",
        hint="The same command attaches to the study again, or resumes it on a new cluster.",
    )


def is_from_proxy(error: Exception) -> bool:
    """Whether an error is a proxy's answer that nobody is behind it.

    Args:
        error: What Ray's client raised.
    """
    return _NOBODY_BEHIND.search(str(error)) is not None


def forgotten_job(address: str) -> JobForgottenError:
    """What is said of a cluster that no longer knows a job.

    Args:
        address: The dashboard's address.
    """
    return JobForgottenError(
        f"The cluster at {address} was started anew and no longer knows this job, which ended with the old one.",
        hint=f"`recombine submit STUDY --address {address}`, with the options it had, goes on with the study.",
    )


def is_unknown_job(error: Exception) -> bool:
    """Whether an error is Ray's answer that it knows no such job.

    Args:
        error: What Ray's client raised.
    """
    return _NO_SUCH_JOB.search(str(error)) is not None


def _explain(address: str, error: Exception) -> ClusterError:
    kind, text = type(error).__name__, str(error)
    if is_from_proxy(error):
        return ConnectionLostError(
            f"A proxy answers at {address}, and no dashboard behind it.",
            hint="Is the head node up? The same command may work in a minute.",
        )
    if kind == "ReadTimeout":
        return lost_connection(address)
    if kind == "AuthenticationError":
        if find_token() is None:
            return ClusterError(f"The cluster at {address} asks for a token, and none was found.", hint=TOKEN_HINT)
        return ClusterError(f"The cluster at {address} refused the token.", hint=TOKEN_HINT)
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
    """An address where nobody is needs no minute."""
    try:
        socket.create_connection((host, port), timeout=_REACH_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"Nobody answers at {host}:{port} ({error.strerror or 'no answer in 5 s'}).",
            hint=f"If the dashboard listens on the head node only: ssh -L {port}:127.0.0.1:{port} HEAD, "
            f"then --address http://127.0.0.1:{port}.",
        ) from error
