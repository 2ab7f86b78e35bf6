"""Which trials on one source alone stand for it in the transfer matrix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from datasets_spec.canonical import canonical_json
from search.ledger.records import Record, training_size
from search.vocabulary import Stage, Status


def singles_by_source(trials: Iterable[Record]) -> dict[str, list[Record]]:
    """The finished single-source trials of each source, of one size and recipe.

    A source with trials of several sizes or recipes is shown with those of most seeds, then of most samples.

    Args:
        trials: records of trials, or rows that have the same fields.
    """
    by_size: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in trials:
        composition = record.get("composition") or {}
        if record["stage"] == Stage.single and record["status"] == Status.finished and len(composition) == 1:
            by_size[next(iter(composition))][canonical_json(training_size(record))].append(record)

    def evidence(size: tuple[str, list[Record]]) -> tuple[int, int, str]:
        return len({record["seed"] for record in size[1]}), size[1][0]["num_train_samples"], size[0]

    return {source: max(sizes.items(), key=evidence)[1] for source, sizes in by_size.items()}
