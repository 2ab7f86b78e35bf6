"""A study's progress as metrics, for Prometheus and the dashboard's graphs.

Ray serves metrics on every interface without asking for the token (measured with 2.60), so that nothing but
counts, accuracies and the names of subsets may stand in them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.errors import ClusterError
from cluster.lasting_gauge import LastingGauge, Repeater

# The closed list of a trial's states, as in search.vocabulary.Status; a test holds the two together.
TRIAL_STATES = ("finished", "stopped_early", "failed", "oom", "timeout", "diverged")
# The same rule as a subset's name in a catalog; a test holds the two together.
_SUBSET_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
# Each target is a time series of its own; the largest catalog known to us has 53 subsets.
MOST_TARGETS = 100


# Of a study's name, which its spec keeps to letters, digits, `.`, `_` and `-`.
_LONGEST_STUDY = 60
# What a slot is doing; `missing` waits for room on the cluster.
SLOT_STATES = ("busy", "idle", "missing")


class StudyMetrics:
    """The gauges and counters of one study, owned by one long-lived process connected to Ray.

    A node keeps the counters of a process that has ended, and forgets its gauges. So gauges tell who is still there,
    and the two counters of moments, each counted once, tell of those who are not whether their study has ended.

    Args:
        study: The study's name, the tag `study` of all of them.
        targets: The study's targets, the only values of the tag `target`.

    Raises:
        ClusterError: Ray is not connected, there are too many targets, or a name could be more than a name.
    """

    def __init__(self, study: str, targets: Sequence[str]) -> None:
        import ray

        if not ray.is_initialized():
            raise ClusterError("Metrics need a connection to Ray.", hint="Call cluster.connect.connect() first.")
        _check_targets(targets)
        self.targets = tuple(targets)
        self._study = study[:_LONGEST_STUDY]
        self._gauges: list[LastingGauge] = []
        self._began_at = self._counter("began_at_s", "When each run of the study began, in seconds of Unix time.")
        self._ended_at = self._counter("ended_at_s", "When each run that saw the study's end left, likewise.")
        self._trained = self._counter("samples_trained", "Samples trained on, all trials.")
        self._tokens = self._counter("tokens_trained", "Tokens trained on, all trials, image tokens included.")
        self._ended = self._gauge("trials_ended", "Trials that ended, by state, over all runs of the study.", "state")
        self._running = self._gauge("trials_running", "Trials running now.")
        self._waiting = self._gauge("trials_waiting", "Trials that wait for a slot.")
        self._speed = self._gauge("samples_per_s", "Training speed of the latest trial.")
        self._best = self._gauge("best_accuracy", "Best accuracy so far on the search split.", "target")
        self._slots = self._gauge("slots", "Slots, by what they are doing.", "state")
        self._retried = self._gauge("trials_retried", "Trials tried again because their process died.")
        self._handed_over = self._gauge("trials_handed_over", "Trials saved and given back by slots that had to leave.")
        self._hours = self._gauge("slot_hours", "Hours of slots at work so far, over all runs of the study.")
        self._cost = self._gauge("cost", "What these hours cost by the study's own prices.", "currency")
        self._rows = self._gauge("rows", "Rows of the data: kept, or quarantined.", "state")
        self._began_at.inc(time.time())
        self.set_running(0)
        self._repeater = Repeater(self._gauges)

    def close(self, *, has_ended: bool) -> None:
        """Stop telling; Ray must still be connected.

        Args:
            has_ended: whether the study has come to its end, so that nobody is to wonder why nothing drives it.
        """
        self._repeater.stop()
        if has_ended:
            self._ended_at.inc(time.time())

    def _counter(self, name: str, description: str, *tags: str) -> Any:
        from ray.util.metrics import Counter

        return self._named(Counter, name, description, tags)

    def _gauge(self, name: str, description: str, *tags: str) -> LastingGauge:
        from ray.util.metrics import Gauge

        gauge = LastingGauge(self._named(Gauge, name, description, tags))
        self._gauges.append(gauge)
        return gauge

    def _named(self, kind: Any, name: str, description: str, tags: tuple[str, ...]) -> Any:
        made = kind(f"recombine_{name}", description=description, tag_keys=("study", *tags))
        made.set_default_tags({"study": self._study})
        return made

    def set_running(self, num_trials: int) -> None:
        """Say how many trials run now."""
        self._running.set(num_trials)

    def set_slots(self, *, num_wanted: int, num_ready: int, num_busy: int) -> None:
        """Say how many slots the study wants, has, and has at work."""
        counts = (num_busy, num_ready - num_busy, num_wanted - num_ready)
        for state, count in zip(SLOT_STATES, counts, strict=True):
            self._slots.set(max(0, count), tags={"state": state})

    def set_queue(self, *, num_waiting: int, num_retried: int, num_handed_over: int) -> None:
        """Say how many trials wait, and how many were tried again or handed over so far."""
        self._waiting.set(num_waiting)
        self._retried.set(num_retried)
        self._handed_over.set(num_handed_over)

    def set_rows(self, *, num_kept: int, num_quarantined: int) -> None:
        """Say what became of the rows of the data."""
        self._rows.set(num_kept, tags={"state": "kept"})
        self._rows.set(num_quarantined, tags={"state": "quarantined"})

    def set_spent(self, *, busy_h: float, cost: float | None, currency: str) -> None:
        """Say what trials at work have taken and cost so far; no cost where a study names no prices.

        Args:
            busy_h: hours of slots, or of trials in processes of their own.
            cost: of these hours.
            currency: of the cost; a study keeps it to ten letters.
        """
        self._hours.set(busy_h)
        if cost is not None:
            self._cost.set(cost, tags={"currency": currency})

    def set_ended(self, num_trials: Mapping[str, int]) -> None:
        """Say how many trials have ended so far, by state.

        Args:
            num_trials: by states of `TRIAL_STATES`; those it does not name have none.

        Raises:
            ClusterError: Another state.
        """
        for state in num_trials:
            if state not in TRIAL_STATES:
                raise ClusterError(f"No trial ends as {state!r}.", hint=f"One of {', '.join(TRIAL_STATES)}.")
        for state in TRIAL_STATES:
            self._ended.set(num_trials.get(state, 0), tags={"state": state})

    def count_trained(self, *, num_samples: int, num_tokens: int, train_s: float) -> None:
        """Count what a trial was trained on.

        Args:
            num_samples: Samples, repeats included; 0 where its weights were there already.
            num_tokens: Tokens of these.
            train_s: Seconds of training, without start-up; 0 leaves the speed as it was.
        """
        if num_samples:
            self._trained.inc(num_samples)
        if num_tokens:
            self._tokens.inc(num_tokens)
        if num_samples and train_s > 0:
            self._speed.set(num_samples / train_s)

    def set_best_accuracy(self, target: str, accuracy: float) -> None:
        """Show the best accuracy so far (0 to 1) on a target named at the start.

        Raises:
            ClusterError: Another target.
        """
        if target not in self.targets:
            raise ClusterError("A metric for a target this study does not have.", hint="Name it at the start.")
        self._best.set(accuracy, tags={"target": target})


def _check_targets(targets: Sequence[str]) -> None:
    if len(targets) > MOST_TARGETS:
        raise ClusterError(f"{len(targets)} targets are too many for metrics (at most {MOST_TARGETS}).")
    for position, target in enumerate(targets):
        if not _SUBSET_NAME.fullmatch(target):
            raise ClusterError(
                f"Target number {position} is not the name of a subset; it would be readable by everyone.",
                hint="Small letters, digits, '_', '.' and '-', at most 100.",
            )
