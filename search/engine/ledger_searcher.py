"""What the searchers of both executors have in common: the ledger holds their state, and Tune's files none."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher


class LedgerSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """A searcher that Tune may pickle and save, and that goes on from the ledger all the same."""

    def __init__(self) -> None:
        super().__init__(metric="status", mode="max")

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its searcher into a file that nobody reads: threads, locks and the ledger stay out of it."""
        return Searcher, ()

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger has it."""
