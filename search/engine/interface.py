"""What runs a study's trials: one interface, two executors."""

from __future__ import annotations

from typing import Protocol

from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import TrialSource, Wait


class Engine(Protocol):
    """Runs the trials that a source hands out, and records them."""

    def run(self, source: TrialSource) -> None:
        """Run all trials of a source that are not done yet."""
        ...

    def hand_over(self) -> None:
        """Let running trials save what they have, in a few seconds; the study stops."""
        ...

    def close(self) -> None:
        """Free what is held; a later `run` starts anew."""
        ...

    def wait_ended(self) -> None:
        """Wait until nothing of this engine uses Ray any more; after `close`."""
        ...


class Resumed:
    """A source whose first trial was already taken.

    Args:
        first: the trial.
        source: hands out the others.
    """

    def __init__(self, first: PlannedTrial, source: TrialSource) -> None:
        self._first: PlannedTrial | None = first
        self._source = source

    def next_trial(self) -> PlannedTrial | Wait | None:
        """Return the trial that was taken, then the source's."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return self._source.next_trial()


def first_undone(source: TrialSource, recorder: Recorder) -> PlannedTrial | None:
    """Return the first trial that needs a run; starting Tune for none would cost seconds."""
    while True:
        planned = source.next_trial()
        if planned is None:
            return None
        if not isinstance(planned, PlannedTrial):  # nothing runs yet, so nothing could end the wait
            raise RuntimeError("a trial source waits although nothing is running")
        if not recorder.is_done(planned):
            return planned
