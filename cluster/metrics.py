"""A study's progress as metrics, for Prometheus and the dashboard's graphs.

Ray serves metrics on every interface without asking for the token (measured with 2.60), so that nothing but
counts, accuracies and the names of subsets may stand in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cluster.errors import ClusterError

# The closed list of a trial's states, as in search.vocabulary.Status; a test holds the two together.
TRIAL_STATES = ("finished", "stopped_early", "failed", "oom", "timeout", "diverged")
# The same rule as a subset's name in a catalog; a test holds the two together.
_SUBSET_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
# Each target is a time series of its own; the largest catalog known to us has 53 subsets.
MOST_TARGETS = 100


class StudyMetrics:
    """The gauges and counters of one study, owned by one long-lived process connected to Ray.

    Args:
        targets: The study's targets, the only values of the tag `target`.

    Raises:
        ClusterError: Ray is not connected, there are too many targets, or a name could be more than a name.
    """

    def __init__(self, targets: Sequence[str]) -> None:
        import ray
        from ray.util.metrics import Counter, Gauge

        if not ray.is_initialized():
            raise ClusterError("Metrics need a connection to Ray.", hint="Call cluster.connect.connect() first.")
        _check_targets(targets)
        self.targets = tuple(targets)
        self._ended = Counter("recombine_trials_ended", description="Trials that ended, by state.", tag_keys=("state",))
        self._trained = Counter("recombine_samples_trained", description="Samples trained on, all trials.")
        self._running = Gauge("recombine_trials_running", description="Trials running now.")
        self._speed = Gauge("recombine_samples_per_s", description="Training speed of the latest trial.")
        self._best = Gauge(
            "recombine_best_accuracy",
            description="Best accuracy so far on the search split.",
            tag_keys=("target",),
        )

    def set_running(self, num_trials: int) -> None:
        """Say how many trials run now."""
        self._running.set(num_trials)

    def count_ended(self, state: str, *, num_samples: int = 0, train_s: float = 0.0) -> None:
        """Count a trial that ended.

        Args:
            state: One of `TRIAL_STATES`.
            num_samples: Samples it was trained on, repeats included.
            train_s: Seconds of training, without start-up; 0 leaves the speed as it was.

        Raises:
            ClusterError: Another state.
        """
        if state not in TRIAL_STATES:
            raise ClusterError(f"No trial ends as {state!r}.", hint=f"One of {', '.join(TRIAL_STATES)}.")
        self._ended.inc(1, tags={"state": state})
        if num_samples:
            self._trained.inc(num_samples)
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
