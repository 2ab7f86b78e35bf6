"""Which trials a new start of a study tries again: those that the machine failed, not those that failed by themselves.

A later try has a record of its own; the last one of a trial counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.ledger.records import NOT_ITS_OWN, Kind, Record, TrialRole, role_of, trials_of
from search.vocabulary import Stage, Status

_ANSWERING = (Stage.confirm, Stage.design)  # a study has no answer without any of these
# What a study shows rests on these: they get another try however far they came.
_NEEDED = (Stage.baseline, Stage.control, Stage.confirm, Stage.design)


def to_try_again(records: Sequence[Record]) -> set[TrialRole]:
    """The trials that failed before the last start of the study, and have not been tried since.

    Once a start: a cause that is still there costs no second try. A study that has ended stays as it is, but for a
    confirmation or a design of which nothing came; so do a search whose best are being confirmed, and what `sealed`
    was opened for.

    Args:
        records: the ledger's, in their order.
    """
    kinds = [record["kind"] for record in records]
    if Kind.sealed_opened in kinds:
        return set()
    started = max((place for place, kind in enumerate(kinds) if kind == Kind.writer), default=0)
    ended = max((place for place, kind in enumerate(kinds) if kind == Kind.ended), default=-1)
    failed = [record for record in trials_of(records[ended + 1 : started]) if _gets_another_try(record)]
    for stage in _ANSWERING:
        asked = trials_of(records[:started], stage)
        if not any(record["status"] == Status.finished for record in asked):
            failed += [record for record in asked if _gets_another_try(record)]
    if Kind.confirm_started in kinds:
        failed = [record for record in failed if record["stage"] != Stage.search]
    return {role_of(record) for record in failed} - {role_of(record) for record in trials_of(records[started:])}


def failed_unbegun(record: Record) -> bool:
    """Whether a trial failed before its first step: what it was to learn played no part."""
    return record["status"] == Status.failed and not record["num_steps"]


def _gets_another_try(record: Record) -> bool:
    return failed_unbegun(record) or (record["stage"] in _NEEDED and record["status"] in NOT_ITS_OWN)
