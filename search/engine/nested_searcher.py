"""Ray Tune's view of a trial source: a searcher that suggests what the source hands out and records what ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from search.engine.ledger_searcher import LedgerSearcher
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import TrialSource


class Bridge(LedgerSearcher):
    """Hands trials to Tune and their ends to the recorder.

    Args:
        source: hands out trials.
        recorder: writes results; knows what is done.
        on_running: told how many trials run, whenever that changes.
    """

    def __init__(
        self,
        source: TrialSource,
        recorder: Recorder,
        *,
        on_running: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._source = source
        self._recorder = recorder
        self._next: PlannedTrial | None = None
        self._on_running = on_running
        self._running: dict[str, PlannedTrial] = {}
        self._deferred: list[PlannedTrial] = []

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's config; None to be asked again later; FINISHED when there are no more."""
        while (planned := self._take()) is not None:
            if isinstance(planned, str):
                return None
            if self._recorder.is_done(planned):
                continue
            if planned.spec.train_id in {p.spec.train_id for p in self._running.values()}:
                self._deferred.append(planned)  # two arms of one training: the second reads the first's result
                continue
            self._running[trial_id] = planned
            self._on_running(len(self._running))
            return {
                "spec": planned.spec.model_dump(mode="json"),
                "stage": planned.stage.value,
                "submitted_at": time.time(),
            }
        if self._deferred:
            self._next, self._deferred = self._deferred[0], self._deferred[1:]
            return None
        return Searcher.FINISHED

    def _take(self) -> PlannedTrial | str | None:
        if self._next is not None:
            planned, self._next = self._next, None
            return planned
        return self._source.next_trial()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record a trial that has ended: its folder says how; without one, its processes died."""
        planned = self._running.pop(trial_id, None)
        if planned is None:
            return
        self._on_running(len(self._running))
        stored = self._recorder.stored_result(planned)
        if stored is not None:
            self._recorder.record(planned, stored)
        else:
            self._recorder.record_death(planned, "its worker processes died without a result")
