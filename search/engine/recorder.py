"""From a trial's folder to the ledger: adopt what is finished, never run it twice, never lose it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.ledger.records import NOT_ITS_OWN, Kind, role_of
from search.ledger.tries import to_try_again
from search.study.run_dir import RunDir, RunFile
from search.vocabulary import Stage
from trainers.trial.folder import scored_result
from trainers.trial.result import TrialResult, TrialStatus, failed_result


class Recorder:
    """Writes trial records and tells whoever listens afterwards.

    Args:
        run_dir: the study directory.
        ledger: open for writing.
        on_record: called with every new record, after it is durable.
    """

    def __init__(self, run_dir: RunDir, ledger: Ledger, on_record: Callable[[Mapping[str, Any]], None]) -> None:
        self._run_dir = run_dir
        self._ledger = ledger
        self._on_record = on_record

    def is_done(self, planned: PlannedTrial) -> bool:
        """Whether this trial needs no run: recorded for this arm, for another, or finished but unrecorded.

        What is finished and not yet recorded for this arm is recorded now. A recorded failure stays as it is, unless
        this start of the study tries it again.
        """
        mine = self._tries(planned)
        if mine and not self._is_tried_again(mine[-1]):
            return True
        result = self._stored(planned)
        if result is None:
            return False
        # What ended just before the driver was killed was trained here, and is paid for here.
        training = (result.train_id, result.started_at)
        is_known = any((r.get("train_id"), r.get("started_at")) == training for r in self._ledger.records())
        self.record(planned, result, reused=is_known or planned.stage is Stage.reused)
        return True

    def record(self, planned: PlannedTrial, result: TrialResult, *, reused: bool = False) -> None:
        """Append the record of a trial that has ended, with the scores that were asked for."""
        wanted = planned.spec.score_ids
        if result.status == "stopped_early":  # scored at its rung only, under identities of its own
            wanted = frozenset(e.score_id for e in result.evaluations)
        record = {
            **_role(planned),
            "strategy": planned.strategy,
            "proposal_index": planned.proposal_index,
            "reason": planned.reason,
            "searched": dict(planned.searched),
            "composition": planned.spec.composition,
            "recipe": planned.spec.recipe.model_dump(mode="json"),
            "seed": planned.spec.seed,
            "tries": len(self._tries(planned)) + 1,
            "status": result.status,
            "rung": result.num_steps if result.status == "stopped_early" else None,
            "num_train_samples": result.num_train_samples,
            "num_steps": result.num_steps,
            "num_tokens": result.num_tokens,
            "train_s": result.train_s,
            "startup_s": result.startup_s,
            "slot": result.slot,
            "pack_size": result.pack_size,
            "started_at": result.started_at,
            "seconds": {phase: round(s, 4) for phase, s in sorted(result.seconds.items())},
            "trial_dir": f"{RunFile.trials}/{planned.spec.folder_name}",
            "evaluations": [e.model_dump(mode="json") for e in result.evaluations if e.score_id in wanted],
            "adapter_sha256": result.adapter_sha256,
            "error": result.error,
            "reused": reused,
            "finished_at": datetime.now(UTC).isoformat(),
        }
        self._ledger.append(record)
        if record["kind"] != Kind.proxy:
            self._on_record(record)

    def record_death(self, planned: PlannedTrial, reason: str, *, status: TrialStatus = "failed") -> None:
        """Record a trial whose processes died without a result."""
        self.record(planned, failed_result(planned.spec, reason).model_copy(update={"status": status}))

    def stored_result(self, planned: PlannedTrial) -> TrialResult | None:
        """Return the result in the trial's folder, or None when it has none with the scores that were asked for."""
        folder = self._run_dir / RunFile.trials / planned.spec.folder_name
        return scored_result(folder, planned.spec.train_id, planned.spec.score_ids)

    def _is_tried_again(self, record: Mapping[str, Any]) -> bool:
        return record["status"] in NOT_ITS_OWN and role_of(record) in to_try_again(self._ledger.records())

    def _tries(self, planned: PlannedTrial) -> list[Mapping[str, Any]]:
        return [record for record in self._ledger.records() if _is_same_role(record, planned)]

    def _stored(self, planned: PlannedTrial) -> TrialResult | None:
        result = self.stored_result(planned)
        if result is None:
            return None
        # A trial that was stopped at a rung counts only where rungs are: others ask for the whole of it.
        is_stopped = result.status == "stopped_early" and result.num_steps in planned.spec.rungs
        return result if result.status == "finished" or is_stopped else None


def _role(planned: PlannedTrial) -> dict[str, Any]:
    return {
        "kind": (Kind.proxy if planned.stage is Stage.merge else Kind.trial).value,
        "train_id": planned.spec.train_id,
        "stage": planned.stage.value,
        "arm": planned.arm,
    }


def _is_same_role(record: Mapping[str, Any], planned: PlannedTrial) -> bool:
    same = all(record.get(name) == value for name, value in _role(planned).items())
    return same and (planned.proposal_index is None or record["proposal_index"] == planned.proposal_index)
