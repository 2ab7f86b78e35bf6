"""Ray's client of the Jobs API, which by itself waits for ever for an answer that never comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.job_submission import JobSubmissionClient


class TimedClient(JobSubmissionClient):  # type: ignore[misc]  # Ray ships no types
    """Waits so long for each answer, and no longer.

    Args:
        address: The dashboard's address, with its scheme.
        headers: Of every request.
        timeout_s: How long an answer may stay away; then the request raises `requests.ReadTimeout`.
    """

    def __init__(self, address: str, *, headers: Mapping[str, str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        super().__init__(address, headers=dict(headers))

    def asks_for_token(self) -> bool:
        """Whether the cluster refuses who has none: asked without ours, which it may take and not need."""
        import requests

        place = f"{self._address}/api/version"
        return not requests.get(place, verify=self._verify, timeout=self._timeout_s).ok

    def _do_request(self, method: str, endpoint: str, **given: Any) -> Any:
        """Every request of Ray's client (2.60) goes through here."""
        return super()._do_request(method, endpoint, **{"timeout": self._timeout_s, **given})
