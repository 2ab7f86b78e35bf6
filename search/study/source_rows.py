"""What sources have: one that has fewer rows than it is asked for gives what it has, and that is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydantic import ValidationError

from datasets_spec.errors import UserError
from search.space.composition_space import CompositionSpace
from search.space.levels import ALL, numbers_of
from search.study.study import Study


def with_rows(study: Study, count: Callable[[str, str], int]) -> Study:
    """The study whose space knows how many rows its sources have, where that changes a number of samples.

    A design makes its own arms, and is left as it is.

    Args:
        study: the study.
        count: rows of (subset, split), of prepared data.

    Raises:
        UserError: no composition of the study's numbers is possible.
    """
    space = study.spec.space
    rows = {source: count(source, "train") for source in space.composition.available}
    wanted = {s: space.composition.written(s) for s in rows}
    most = space.composition.most_samples or {}
    is_short = any(
        ALL in levels or rows[s] < max((n for n in numbers_of(levels) if n <= most.get(s, n)), default=0)
        for s, levels in wanted.items()
    )
    if study.spec.design is not None or not is_short:
        return study
    try:
        composition = CompositionSpace.model_validate(space.composition.model_dump() | {"source_rows": rows})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(
            f"with the rows that the sources have, {reason}",
            hint="raise space.composition.budget, or name a number beside `all` in space.composition.num_samples",
        ) from error
    changed = space.model_copy(update={"composition": composition})
    return replace(study, spec=study.spec.model_copy(update={"space": changed}))


def source_rows_lines(study: Study) -> list[str]:
    """What a plan and a run say of sources that give what they have, or limit others; nothing where all is as asked."""
    space = study.spec.space.composition
    if space.needs_rows:
        return ["numbers of samples: `all` is known once the data are prepared; until then it is taken for 1"]
    lines = []
    if space.limiting:
        named = ", ".join(f"{s} ({space.levels[s][0]:,})" for s in space.limiting)
        lines.append(
            f"WARNING: no composition has more than {space.sizes[-1]} of the sources, for with max_cost so many are "
            f"combined as fit the budget of {space.budget:,} whichever they are, and {named} gives no fewer "
            "(name fewer in space.composition.num_samples_of, or leave it out by must_not_have)"
        )
    if space.source_rows is None:
        return lines
    capped = {s: space.levels[s][-1] for s in space.allowed if space.levels[s][-1] == space.source_rows[s]}
    if capped:
        named = ", ".join(f"{s} ({n:,})" for s, n in sorted(capped.items()))
        lines.append(f"numbers of samples: these sources give all rows that they have where more is asked: {named}")
    large = [s for s in space.available if space.levels[s] and s not in space.allowed]
    if large:
        named = ", ".join(f"{s} ({space.levels[s][0]:,})" for s in large)
        lines.append(
            f"WARNING: no composition has {named}: the fewest samples that it may give exceed the budget of "
            f"{space.budget:,} (raise space.composition.budget, or name a number beside `all`)"
        )
    return lines
