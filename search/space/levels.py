"""The numbers of samples that each source may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, PositiveInt

ALL: Final = "all"
Level = PositiveInt | Literal["all"]
# Until the rows of a source are known, all of them are taken for so many: nothing is refused that might be possible.
UNKNOWN_ROWS: Final = 1


def _as_tuple(value: Any) -> Any:
    # A list of JSON, too: once a validator has run before, strict mode takes it for one of Python.
    return (ALL,) if value == ALL else tuple(value) if isinstance(value, list) else value


Levels = Annotated[tuple[Level, ...], BeforeValidator(_as_tuple)]


def numbers_of(levels: Sequence[Level]) -> tuple[int, ...]:
    """Those that are numbers, ascending."""
    return tuple(sorted(level for level in levels if level != ALL))


def source_levels(
    levels: Sequence[Level], *, rows: int | None = None, most: int | None = None, own_key: int | None = None
) -> tuple[int, ...]:
    """The numbers of samples that a source may have, ascending; none where it may not be in a composition.

    Args:
        levels: as written, `all` among them.
        rows: that it has: what asks for more gets these; None where it has enough or that is not known.
        most: numbers above are left out; `all` is no more than this.
        own_key: the same; 0 leaves the source out.
    """
    limits = [limit for limit in (most, own_key) if limit is not None]
    every = min([UNKNOWN_ROWS if rows is None else rows, *limits])
    counts = {every if level == ALL else level for level in levels}
    if most is not None:
        counts = {count for count in counts if count <= most}
    if rows is not None:
        counts = {min(count, rows) for count in counts}
    if own_key is not None:
        counts = {count for count in counts if count <= own_key}
    return tuple(sorted(counts - {0}))


def within_budget(
    counts: Mapping[str, int],
    *,
    levels: Mapping[str, Sequence[int]],
    budget: int,
    must_have: Sequence[str],
    min_size: int,
    order: Callable[[str], str],
) -> dict[str, int]:
    """`counts` with fewer samples until they are within the budget; themselves if they are.

    The largest count steps down; where all are at their smallest, the largest that need not stay leaves, or, where none
    may leave, makes place for the absent source of the smallest count. `min_size` sources fit at their smallest.

    Args:
        counts: a composition.
        levels: numbers of samples by source, ascending.
        budget: most samples together.
        must_have: sources that stay.
        min_size: the smallest number of sources.
        order: breaks ties.
    """
    kept = dict(counts)
    while sum(kept.values()) > budget:
        largest = sorted(kept, key=lambda s: (-kept[s], order(s)))
        reducible = [s for s in largest if kept[s] > levels[s][0]]
        if reducible:
            source = reducible[0]
            kept[source] = max(level for level in levels[source] if level < kept[source])
            continue
        leaving = next(s for s in largest if s not in must_have)
        absent = [s for s in levels if s not in kept]
        del kept[leaving]
        if len(kept) < min_size:
            entering = min(absent, key=lambda s: (levels[s][0], order(s)))
            kept[entering] = levels[entering][0]
    return kept
