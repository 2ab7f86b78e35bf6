"""The valid name nearest to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# difflib's own default of 0.6 misses "lr_rate" for "learning_rate"; 0.5 still refuses unrelated words.
SIMILARITY_FLOOR = 0.5


def nearest_of(name: str, choices: Iterable[str]) -> str | None:
    """Returns the choice most like the name, or None when nothing is close.

    Args:
        name: What was written.
        choices: What would have been valid.
    """
    by_folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(name.casefold()[:200], by_folded, n=1, cutoff=SIMILARITY_FLOOR)
    return by_folded[close[0]] if close else None
