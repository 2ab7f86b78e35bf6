"""One finding of the doctor, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding: `warn` works with a drawback, `fail` does not work; `fix` is the next step."""

    name: str
    status: Status
    detail: str
    fix: str
