"""A searcher whose processes live from the first pack of a study to the last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from datasets_spec.errors import UserError
from search.engine.pack_searcher import PackSearcher

STARTS_WITHIN_S = 60.0  # a process: 2 s on an idle machine, 5 at load 13; one that takes longer holds up nobody
MAX_FAILED_STARTS = 3  # of the process of each place, in a row; as many as a slot's (`trainers.executors.pool`)


class LastingSearcher(PackSearcher):
    """Starts processes with empty packs, and lets one go only when there is a pack for it.

    Of processes without a pack Tune keeps one, and it gives one that is free to a pack whose own is still starting,
    which it drops. For processes that occupy nothing: one that waits for room would hold up packs.

    Args:
        max_packs: packs that may be on their way at once, each with a process.
        options: of `PackSearcher`.
    """

    def __init__(self, *arguments: Any, max_packs: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._max_packs = max_packs
        self._starting: dict[str, float] = {}  # Tune's trial -> since when its process starts
        self._num_failed_starts = 0  # in a row
        self._is_let_go = False  # a process, for the next pack

    def suggest(self, trial_id: str) -> Any:
        """Return the pack for which a process was let go, else an empty one; None: ask later; FINISHED at the end.

        An empty pack is over at once: it starts a process, for packs to come, unless too many could not start: the
        study goes on with those that live.
        """
        with self._changed:
            if self._is_closed:
                return Searcher.FINISHED
            if len(self._packs) >= self._max_packs:
                return None
            if not self._is_let_go:
                if self._num_failed_starts >= MAX_FAILED_STARTS * self._max_packs:
                    return None
                self._starting[trial_id] = time.monotonic()
            pack, self._next = (self._next, []) if self._is_let_go else ([], self._next)
            self._is_let_go = False
            return self._handed(trial_id, pack)

    def may_end(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether Tune ends a pack that is over (`stop`): when there is another one for its process, or at the end.

        None is let go while one starts.
        """
        with self._changed:
            if self._starting.pop(trial_id, None) is not None:
                self._num_failed_starts = 0
            if not result["is_over"] or self._is_let_go:
                return False
            is_any_starting = any(time.monotonic() - since < STARTS_WITHIN_S for since in self._starting.values())
            self._is_let_go = not is_any_starting and self._has_next()
            return self._is_closed or self._is_let_go

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """As `PackSearcher`; counts processes that could not start."""
        with self._changed:
            was_starting = self._starting.pop(trial_id, None) is not None
            if error:  # who dies later makes room for new attempts
                self._num_failed_starts = self._num_failed_starts + 1 if was_starting else 0
            super().on_trial_complete(trial_id, result, error)
            self._check_starts()

    def _check_starts(self) -> None:
        """Give up where no process lives and too many in a row could not start."""
        is_any_alive = self._is_let_go or bool(self._packs.keys() - self._starting.keys())
        if self._num_failed_starts >= MAX_FAILED_STARTS * self._max_packs and not is_any_alive:
            self._error = self._error or UserError(
                f"Ray Tune's processes cannot start: {self._num_failed_starts} in a row ended before they took a "
                "trial; see `ray logs`",
                hint="`recombine doctor` checks the machine",
            )
