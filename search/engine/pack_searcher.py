"""Ray Tune's view of a whole study: a searcher that suggests packs of trials, and records each trial as it ends."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import TrialSource

MAX_LOST = 3  # deaths of processes that held one trial; then its own is recorded


class PackSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Hands packs to Tune while there is a source, and waits while there is none; the ledger holds its state.

    Tune calls it from its own thread; `serve` is called from the driver's.

    Args:
        recorder: writes results; knows what is done.
        on_running: told how many trials are on their way, whenever that changes.
        pack_shape: trials of one pack have equal shapes.
        on_rung: told of a trial's outcomes at a rung; returns whether it goes on.
        tell: passes a decision to the slot: (train_id, step, goes on).
        max_lost: deaths of processes that held one trial.
        say: tells the user one line.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        on_running: Callable[[int], None],
        pack_shape: Callable[[PlannedTrial], tuple[object, ...]] = lambda planned: (),
        on_rung: Callable[[PlannedTrial, int, Mapping[str, str]], bool] = lambda planned, step, correct: True,
        tell: Callable[[str, int, bool], None] = lambda train_id, step, goes_on: None,
        max_lost: int = MAX_LOST,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(metric="status", mode="max")
        self._recorder = recorder
        self._on_running = on_running
        self._pack_shape = pack_shape
        self._on_rung = on_rung
        self._tell = tell
        self._max_lost = max_lost
        self._say = say
        self._changed = threading.Condition()
        self._source: TrialSource | None = None
        self._pack_size = 1
        self._is_exhausted = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._held: list[PlannedTrial] = []  # taken from the source, for a later pack
        self._next: list[PlannedTrial] = []  # the pack that Tune is about to ask for
        self._packs: dict[str, dict[str, PlannedTrial]] = {}  # Tune's trial -> its trials that have not ended
        self._num_lost: Counter[str] = Counter()

    def serve(self, source: TrialSource, *, pack_size: int, is_alive: Callable[[], None]) -> None:
        """Hand out a source's trials and wait until all have ended.

        Args:
            source: hands out trials.
            pack_size: trials of one pack at most.
            is_alive: called now and then; raises when nobody works any more.

        Raises:
            UserError: Tune has no process, and none starts.
            BaseException: whatever the source or the recorder raised in Tune's thread.
        """
        with self._changed:
            self._source, self._pack_size, self._is_exhausted = source, pack_size, False
            try:
                while self._error is None and not (self._is_exhausted and not self._trials_left()):
                    self._changed.wait(timeout=0.2)
                    is_alive()
            finally:
                self._source, error = None, self._error  # a study that stops hands out nothing more
        if error is not None:
            raise error

    def close(self) -> None:
        """Let Tune end."""
        with self._changed:
            self._is_closed = True

    @property
    def is_idle(self) -> bool:
        """Whether no trial is on its way."""
        return not any(self._packs.values())

    def suggest(self, trial_id: str) -> Any:
        """Return the next pack; None: ask later; FINISHED at the end."""
        with self._changed:
            if self._is_closed:
                return Searcher.FINISHED
            if not self._has_next():
                return None
            pack, self._next = self._next, []
            return self._handed(trial_id, pack)

    def _handed(self, trial_id: str, pack: list[PlannedTrial]) -> dict[str, Any]:
        self._packs[trial_id] = {planned.spec.train_id: planned for planned in pack}
        self._tell_running()
        timeouts = [planned.spec.timeout_s for planned in pack]
        return {
            "ticket": uuid.uuid4().hex,
            "specs": {planned.spec.train_id: planned.spec.model_dump(mode="json") for planned in pack},
            "stage": pack[0].stage.value if pack else "",
            "submitted_at": time.time(),
            "timeout_s": None if None in timeouts else max((t for t in timeouts if t is not None), default=None),
        }

    def _has_next(self) -> bool:
        """Whether there is a pack to hand out, taken from the source if need be."""
        if self._source is None or self._error is not None:
            return False
        try:
            self._next = self._next or self._next_pack()
        except BaseException as error:  # noqa: BLE001 - raised again by `serve`
            self._error = error
        self._changed.notify_all()
        return bool(self._next)

    def _trials_left(self) -> bool:
        return bool(self._held or self._next or any(self._packs.values()))

    def _next_pack(self) -> list[PlannedTrial]:
        pack: list[PlannedTrial] = []
        waiting, self._held = self._held, []
        busy = {train_id for trials in self._packs.values() for train_id in trials}
        while len(pack) < self._pack_size:
            planned = waiting.pop(0) if waiting else self._from_source()
            if planned is None:
                break
            if self._recorder.is_done(planned):
                continue
            is_twin = planned.spec.train_id in busy  # two arms of one training: the second reads the first's result
            if not is_twin and (not pack or self._pack_shape(planned) == self._pack_shape(pack[0])):
                pack.append(planned)
                busy.add(planned.spec.train_id)
            else:
                self._held.append(planned)
                if not is_twin and not waiting:
                    break  # rather a smaller pack than more proposals without knowing results
        self._held += waiting
        return pack

    def _from_source(self) -> PlannedTrial | None:
        if self._source is None or self._is_exhausted:
            return None
        planned = self._source.next_trial()
        self._is_exhausted = planned is None
        return planned if isinstance(planned, PlannedTrial) else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record trials that have ended, and decide on those that stand at a rung."""
        with self._changed:
            try:
                for event in result.get("events", ()):
                    self._on_event(self._packs.get(trial_id, {}), event)
            except BaseException as error:  # noqa: BLE001 - raised again by `serve`
                self._error = error
            self._changed.notify_all()

    def _on_event(self, trials: dict[str, PlannedTrial], event: Mapping[str, Any]) -> None:
        planned = trials.get(event["train_id"])
        if planned is None:
            return
        if "ended" in event:
            del trials[event["train_id"]]
            self._num_lost.pop(event["train_id"], None)
            stored = self._recorder.stored_result(planned)
            if stored is not None:
                self._recorder.record(planned, stored)
            else:
                reason = event.get("error") or "it left no result"
                is_good = event["ended"] in ("finished", "stopped_early")  # of a trial that nobody can read
                self._recorder.record_death(planned, reason, status="failed" if is_good else event["ended"])
            self._tell_running()
        elif "waits" in event:
            self._say(f"{planned.arm} waits for room: it needs {event['waits']}")
        else:
            goes_on = self._on_rung(planned, event["step"], event["correct"])
            self._tell(planned.spec.train_id, event["step"], goes_on)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take the last news of a pack; trials whose process died are asked for again."""
        if result is not None and not error:
            self.on_trial_result(trial_id, result)
        with self._changed:
            try:
                for planned in self._packs.pop(trial_id, {}).values():
                    self._on_lost(planned)
            except BaseException as caught:  # noqa: BLE001 - raised again by `serve`
                self._error = caught
            self._tell_running()
            self._changed.notify_all()

    def _on_lost(self, planned: PlannedTrial) -> None:
        """A process died with a trial: it may have published it, and not said so any more."""
        stored = self._recorder.stored_result(planned)
        self._num_lost[planned.spec.train_id] += 1
        if stored is not None and stored.status == "finished":
            self._recorder.record(planned, stored)
        elif self._num_lost[planned.spec.train_id] < self._max_lost:
            self._held.append(planned)
        else:
            self._recorder.record_death(planned, f"its process died ({self._max_lost} tries)")

    def _tell_running(self) -> None:
        self._on_running(sum(len(trials) for trials in self._packs.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its searcher into a file that nobody reads: threads, locks and the ledger stay out of it."""
        return Searcher, ()

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger has it."""
