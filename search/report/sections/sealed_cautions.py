"""What must be said where the sealed questions were opened more than once, by this study or by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report.wording import count


def sealed_cautions(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences; none where these questions were opened once at most.

    Args:
        run: `run.json`.
    """
    cautions = []
    before = run.get("sealed_opened_before")
    if isinstance(before, int) and before:
        cautions.append(
            f"These sealed questions had been opened before by {count(before)} other "
            f"{'study' if before == 1 else 'studies'}: what was learned from them may have shaped this one."
        )
    openings = run.get("sealed_openings")
    if isinstance(openings, int) and openings > 1:
        cautions.append(
            f"The sealed questions were opened {openings} times: later figures may be chosen on earlier ones."
        )
    return tuple(cautions)
