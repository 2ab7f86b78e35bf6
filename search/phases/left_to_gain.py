"""What a search has left to gain when it ends, in one line: the best by its model beside what is known without it."""

from __future__ import annotations

from collections.abc import Iterable

from search.ledger.records import Record, finished_of, search_end
from search.space.composition import Composition
from search.strategies.interface import Suggestion
from search.study.objective import mean_score
from search.study.spec import StudySpec
from search.vocabulary import Stage

# Stages of trials that need no search, and what they are called beside its best.
_BESIDE = (
    (Stage.single, "the best single source"),
    (Stage.control, "the best control"),
    (Stage.baseline, "the backbone"),
)


def left_to_gain(spec: StudySpec, records: Iterable[Record], found: Suggestion, num_trials: int) -> str:
    """Say why the search ended, what its best is expected to be worth, and what needs no search.

    Args:
        spec: the study.
        records: the ledger's.
        found: what the strategy's model recommends.
        num_trials: proposals that have ended.
    """
    every = list(records)
    ended = f"after {num_trials} of {spec.strategy.num_trials} trials"
    if end := search_end(every, spec.search_limits):
        ended += f", because {end['why']},"
    beside = [
        f"{name} {max(scores):.1%}" for stage, name in _BESIDE if (scores := _scores(spec, finished_of(every, stage)))
    ]
    text = f"the search ended {ended} with {found.candidate.composition}: {found.reason}"
    return f"{text} ({', '.join(beside)}, all on `search`)" if beside else text


def _scores(spec: StudySpec, records: Iterable[Record]) -> list[float]:
    """The mean of every composition: the best seed of a repeated one would be luck."""
    found: dict[Composition, list[float]] = {}
    for record in records:
        score = mean_score(record, spec.objective_sets, "search", spec.score)
        if score is not None:
            found.setdefault(Composition(record["composition"]), []).append(score)
    return [sum(scores) / len(scores) for scores in found.values()]
