"""Tells an outage (storage, credentials, a broken node) from trials that fail by themselves, and stops for it."""

from __future__ import annotations

from fractions import Fraction

from datasets_spec.errors import UserError
from search.ledger.records import Record
from search.ledger.tries import failed_unbegun

# Trials in a row that fail before their first step: twice what can run at once, and no fewer than this. A search of
# days was spent within minutes where nothing could be read any more.
_LEAST = 3


class OutageWatch:
    """Counts trials that fail one after another without a step; what was proposed is tried again by the next start.

    Args:
        num_slots: trials, or packs of them, that run at once.
    """

    def __init__(self, num_slots: int) -> None:
        self._limit = max(_LEAST, 2 * num_slots)
        self._num_packs = Fraction(0)

    def see(self, record: Record) -> None:
        """Count a trial that has ended.

        A trial that had another try counts neither way: one that always fails must not end every start of its study.

        Raises:
            UserError: so many in a row say that the next ones will fail, too.
        """
        if not failed_unbegun(record):
            self._num_packs = Fraction(0)
        elif record["tries"] == 1:
            self._num_packs += Fraction(1, record["pack_size"])
        if self._num_packs >= self._limit:
            raise UserError(
                f"trials fail one after another without a step, the last with: {record['error']}",
                hint="`recombine doctor` checks the machine, `recombine data check` the data; the same command then "
                "tries these trials again and goes on",
            )
