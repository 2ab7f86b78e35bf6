"""What a run tells Ray's metrics of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from cluster.metrics import StudyMetrics
from datasets_spec.store.store import Store
from search.evidence.spent import compute_spent
from search.ledger.ledger import LedgerError
from search.ledger.records import tries_of
from search.study.run_dir import RunDir
from search.study.study import Study


class ExportedMetrics:
    """Passes records, states of slots and counts of rows on, and at its end whether the study has ended.

    Args:
        metrics: where to.
        study: the study that runs.
        directories: its own, and those on its other backbones; what was spent and reached there before counts.
    """

    def __init__(self, metrics: StudyMetrics, study: Study, directories: Sequence[RunDir]) -> None:
        self._metrics = metrics
        self._execution = study.spec.execution
        self._best: dict[str, float] = {}
        trials: list[Mapping[str, Any]] = []
        for directory in directories:
            with suppress(LedgerError):  # there is none yet, or the run says what is wrong with it
                trials += tries_of(directory.read_records())
        self._spent = compute_spent(self._execution, trials)
        self._show_spent()
        # Over all runs, as the hours are: a counter would begin anew with each process, or count a trial twice.
        self._num_ended = Counter(record["status"] for record in trials)
        metrics.set_ended(self._num_ended)
        for record in trials:
            self._show_best(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._metrics.close(has_ended=kind is None)

    def on_record(self, record: Mapping[str, Any]) -> None:
        """A trial has ended."""
        was_trained = self._spent.add(record)
        self._num_ended[record["status"]] += 1
        self._metrics.set_ended(self._num_ended)
        self._metrics.count_trained(
            num_samples=record["num_steps"] * record["recipe"]["batch_size"] if was_trained else 0,
            num_tokens=(record["num_tokens"] or 0) if was_trained else 0,
            train_s=record["train_s"] if was_trained else 0.0,
        )
        self._show_spent()
        self._show_best(record)

    def on_running(self, num_trials: int) -> None:
        """So many trials run now."""
        self._metrics.set_running(num_trials)

    def on_slots(self, state: Mapping[str, Any]) -> None:
        """The broker's state."""
        num_wanted = self._execution.num_slots - len(state["resting"])
        self._metrics.set_slots(num_wanted=num_wanted, num_ready=len(state["slots"]), num_busy=len(state["held"]))
        self._metrics.set_queue(
            num_waiting=state["num_waiting"],
            num_retried=state["num_retried"],
            num_handed_over=state["num_handed_over"],
        )

    def on_store(self, store: Store) -> None:
        """The data are ready."""
        counts = store.manifest.subsets.values()
        num_quarantined = sum(sum(count.quarantined.values()) for count in counts)
        self._metrics.set_rows(num_kept=sum(count.kept for count in counts), num_quarantined=num_quarantined)

    def _show_spent(self) -> None:
        spent = self._spent
        self._metrics.set_spent(busy_h=spent.busy_h, cost=spent.cost, currency=self._execution.currency)

    def _show_best(self, record: Mapping[str, Any]) -> None:
        for score in record["evaluations"]:
            target, accuracy = score["eval_set"], score["accuracy"]
            if score["split"] == "search" and accuracy > self._best.get(target, -1.0):
                self._best[target] = accuracy
                self._metrics.set_best_accuracy(target, accuracy)
