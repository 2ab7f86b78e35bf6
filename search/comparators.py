"""What a selection is compared with: matched control, all data, best single source, random of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.composition import Composition
from search.objective import objective_values
from search.status import Stage
from search.strategies.base import derived_rng
from search.study import StudySpec
from search.trials import share_out

ALL_DATA, BEST_SINGLE, RANDOM = "all-data", "best-single", "random-same-size"


def all_data(spec: StudySpec, selected: Composition, rows: Mapping[str, int]) -> Composition:
    """Return every allowed source with equal shares of as many samples as the selection has."""
    return share_out({s: rows[s] for s in spec.space.composition.allowed}, selected.total)


def best_single(
    spec: StudySpec, selected: Composition, rows: Mapping[str, int], records: Sequence[Any]
) -> Composition | None:
    """Return the source that was best alone on `search`, with as many samples as the selection if it has them.

    None when no single source has been scored.
    """
    scored = [
        (values, record)
        for record in records
        if record["kind"] == "trial" and record["stage"] == Stage.single and (values := objective_values(spec, record))
    ]
    means: dict[str, list[float]] = {}
    for values, record in scored:
        means.setdefault(next(iter(record["composition"])), []).append(sum(values) / len(values))
    if not means:
        return None
    source = max(sorted(means), key=lambda s: sum(means[s]) / len(means[s]))
    return Composition({source: min(selected.total, rows[source])})


def random_same_size(spec: StudySpec, selected: Composition, rows: Mapping[str, int]) -> Composition | None:
    """Return a random composition with the selection's numbers of samples on other subsets.

    None when the space holds no other.
    """
    allowed = spec.space.composition.allowed
    counts = sorted(selected.values())
    rng = derived_rng(spec.seed, RANDOM)
    for _ in range(1000):
        drawn = Composition(dict(zip(rng.sample(allowed, len(counts)), counts, strict=True)))
        if drawn != selected and all(rows[s] >= n for s, n in drawn.items()):
            return drawn
    return None
