"""A slot: one long-lived Ray Train run that holds the backbone and works off what it leases."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.errors import RecombineError, UserError
from trainers.backbone_spec import BackboneSpec
from trainers.executors.broker import Work
from trainers.executors.kept_memory import keep_freed_memory
from trainers.executors.process_memory import MemoryGrowth
from trainers.executors.resources import TrialResources, most_on_node
from trainers.rows.encoded_blocks import EncodedBlocks, SampleRows
from trainers.rows.prepared_questions import memory_for_questions
from trainers.rows.stored_rows import StoredRows
from trainers.trial.folder import TRIALS_DIR, attempt_name
from trainers.trial.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.executors.packed_trials import SlotContext
    from trainers.trial.failures import RowsAwayError, RunStorageError

HEARTBEAT_S = 1.0
RECYCLE_TRIALS = 1_000  # trials after which a slot starts anew: leaks of libraries end with its process


@dataclass(frozen=True, kw_only=True)
class SlotConfig:
    """What a slot is given.

    Attributes:
        name: of the slot; its processes come and go.
        broker: handle of the broker actor.
        backbone: resolved.
        rows: the study's rows, encoded or not.
        run_dir: the study directory, shared with the driver.
        num_threads: torch threads of a worker.
        measure: a fine-tune to measure packing with; None measures nothing.
        measured: what an earlier process of this slot measured: not measured again.
        resources: that it occupies; of the pool.
        max_pack: largest pack that is tried.
        checkpoint_s: training time between two checkpoints.
        recycle_trials: trials after which the process ends and another begins.
        other_versions: asked on the slot's node: how its versions differ from the driver's; None where they do not.
        backbone_fingerprint: of the backbone, as the driver sees it; None compares nothing.
    """

    name: str
    broker: Any
    backbone: BackboneSpec
    rows: StoredRows | SampleRows
    run_dir: Path
    num_threads: int
    measure: TrialSpec | None
    max_pack: int
    checkpoint_s: float
    recycle_trials: int = RECYCLE_TRIALS
    measured: Mapping[str, Any] | None = None
    resources: TrialResources = field(default_factory=TrialResources)
    other_versions: Callable[[], str | None] = lambda: None
    backbone_fingerprint: str | None = None


def serve_slot(config: Mapping[str, Any]) -> None:
    """Run inside the Ray Train worker of a slot until the broker closes or the slot is to be recycled.

    What hinders the slot from working is told to the broker, a node that is not as the driver among it: where no slot
    has worked yet, it hinders the others too.
    """
    import ray
    import torch

    from trainers.backbone.backbone import load_backbone
    from trainers.trial.failures import RowsAwayError

    slot: SlotConfig = config["slot"]
    if (words := why_not_this_node(slot)) is not None:
        ray.get(slot.broker.say_why.remote(slot.name, words, for_all=True))
        return
    keep_freed_memory()
    torch.set_num_threads(slot.num_threads)
    if isinstance(slot.rows, StoredRows):
        slot.rows.questions.most_bytes = memory_for_questions(most_on_node(slot.resources))
    started_at = time.time()
    try:
        backbone = load_backbone(slot.backbone)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user must hear
        ray.get(slot.broker.say_why.remote(slot.name, f"{type(error).__name__}: {error}", for_all=True))
        return
    process = uuid.uuid4().hex
    try:
        packs = measured_packs(slot, backbone)
    except RowsAwayError as error:
        ray.get(slot.broker.say_why.remote(slot.name, str(error), is_passing=error.is_passing))
        return  # the pool starts another when they are there again
    except Exception as error:  # noqa: BLE001 - a new process would hardly fare better
        words = f"measuring packs ended in {_words(error)}"
        ray.get(slot.broker.say_why.remote(slot.name, words, for_all=True))
        return
    about = {"started_at": started_at, "ready_at": time.time(), "pid": os.getpid(), "pack_size": 1, **packs}
    about["measured"] = packs or None
    this = ray.get_runtime_context().current_actor
    ray.get(slot.broker.register.remote(slot.name, process, about, this))
    _Server(slot, backbone, process, this, about.get("micro_batch_size")).serve()


def why_not_this_node(slot: SlotConfig) -> str | None:
    """Return why a slot must not work on this node, which may have joined after all nodes were compared, or None."""
    if (words := slot.other_versions()) is not None or slot.backbone_fingerprint is None:
        return words
    from trainers.executors.backbone_on_nodes import require_same_backbone

    try:
        require_same_backbone(slot.backbone, slot.backbone_fingerprint)
    except UserError as error:
        return f"{error.message} (on the node {platform.node()}); {error.hint}"
    return None


def measured_packs(slot: SlotConfig, backbone: Any) -> Mapping[str, Any]:
    """Return the pack size that is fastest here, and what was measured: now, or before on a device like this one."""
    from trainers.executors.remembered_packs import pack_key, remember, remembered
    from trainers.training.pack_size import measure_pack_sizes

    if slot.measured is not None:
        return slot.measured
    if slot.measure is None or slot.max_pack == 1:
        return {}
    has_features = not isinstance(slot.rows, StoredRows)
    key = pack_key(
        slot.measure,
        max_pack=slot.max_pack,
        num_threads=slot.num_threads,
        with_features=has_features,
        gpus=slot.resources.gpus_per_worker,
    )
    known = remembered(key)
    if known is not None:
        return {**known, "is_remembered": True}
    measured = measure_pack_sizes(backbone, slot.rows, slot.measure, max_pack=slot.max_pack)
    remember(key, measured)
    return measured


def _words(error: Exception) -> str:
    """What a user may read of an error: torch's and our own words, else its type and place (it may quote the data)."""
    from trainers.trial.failures import describe_error

    words = describe_error(error)
    is_torch = isinstance(error, RuntimeError) and not isinstance(error, RecombineError)
    return f"{words}: {str(error).splitlines()[0]}" if is_torch and str(error) else words


def _is_reclaimed() -> bool:
    """Whether this node is being drained or taken away; Train's watcher looks every five seconds."""
    import ray.train

    return ray.train.get_preemption_info() is not None


class _Server:
    """What a slot's process does with its time."""

    def __init__(self, slot: SlotConfig, backbone: Any, process: str, this: Any, micro_batch_size: int | None) -> None:
        self._this = this
        if isinstance(rows := slot.rows, EncodedBlocks):
            slot = replace(slot, rows=replace(rows, on_wait=self._on_wait))
        self._slot = slot
        self._micro_batch_size = micro_batch_size
        self._process = process
        self._backbone = backbone
        self._work: Work | None = None
        self._beaten_at = 0.0
        self._was_training = False
        self._num_trials = 0
        self._is_leaving = False  # its node is reclaimed, it cannot go on here, or the study stops
        self._why_unable: RowsAwayError | RunStorageError | None = None
        self._is_spent = False  # what made a trial late, as a thread that never gets its image, would hold up the next

    def serve(self) -> None:
        """Lease, work, finish, until there is no more to do."""
        import ray

        growth = MemoryGrowth()
        while self._num_trials < self._slot.recycle_trials and not growth.is_too_much(self._kept_gib):
            work = ray.get(self._slot.broker.lease.remote(self._slot.name, self._process, self._this))
            if work in ("close", "rest"):
                return
            if work is not None:
                self._do(work)
                is_unable = (why := self._why_unable) is not None
                if is_unable:
                    is_passing = getattr(why, "is_passing", False)
                    ray.get(self._slot.broker.say_why.remote(self._slot.name, str(why), is_passing=is_passing))
                ray.get(self._slot.broker.finish.remote(self._slot.name, work, self._is_leaving, is_unable))
                growth.begin()
            if self._is_leaving or self._is_spent or _is_reclaimed():
                return

    @property
    def _kept_gib(self) -> float:
        rows = self._slot.rows
        return rows.questions.num_bytes / 2**30 if isinstance(rows, StoredRows) else 0.0

    def _do(self, work: Work) -> None:
        import ray

        from trainers.executors.memory_ladder import run_packed_trials, within_micro_batch
        from trainers.trial.failures import LeaseLostError, RowsAwayError, RunStorageError
        from trainers.trial.folder import finished_result

        self._work, self._beaten_at = work, 0.0
        specs = [
            within_micro_batch(TrialSpec.model_validate(spec), self._micro_batch_size) for spec in work.specs.values()
        ]
        self._num_trials += len(specs)
        try:
            # Work may come again after its end (a lost proxy): what is scored already is neither trained nor scored.
            for spec in (scored := [s for s in specs if self._is_scored(s)]):
                self._on_end(spec, "finished")
            specs = [spec for spec in specs if spec not in scored]
            known = [s for s in specs if finished_result(self._folder(s), s.train_id) is not None]
            for spec in known:
                self._score_known(spec, work)
            if fresh := [spec for spec in specs if spec not in known]:
                run_packed_trials(self._context(work), fresh, attempt=attempt_name())
        except (RowsAwayError, RunStorageError) as error:
            self._is_leaving, self._why_unable = True, error
        except LeaseLostError:
            return
        finally:
            ray.get(self._slot.broker.heartbeat.remote(self._slot.name, work, False, self._this))

    def _context(self, work: Work) -> SlotContext:
        from trainers.executors.packed_trials import PackListener, SlotContext

        return SlotContext(
            backbone=self._backbone,
            samples=self._slot.rows,
            run_dir=self._slot.run_dir,
            slot=self._slot.name,
            submitted_at=work.submitted_at,
            listener=PackListener(
                on_progress=self._on_progress,
                on_rung=self._on_rung,
                on_publish=self._on_publish,
                on_end=self._on_end,
                on_saved=self._on_saved,
                is_leaving=lambda: self._is_leaving,
            ),
            checkpoint_s=self._slot.checkpoint_s,
        )

    def _score_known(self, spec: TrialSpec, work: Work) -> None:
        """Add the scores that finished weights lack."""
        from trainers.executors.one_trial import run_trial

        result = run_trial(
            spec,
            self._slot.rows,
            self._slot.run_dir / TRIALS_DIR,
            attempt=attempt_name(),
            submitted_at=work.submitted_at,
            backbone=self._backbone,
            on_batch=self._on_scored,
        )
        self._on_end(spec, result.status, result.error)

    def _is_scored(self, spec: TrialSpec) -> bool:
        from trainers.trial.folder import scored_result

        result = scored_result(self._folder(spec), spec.train_id, spec.score_ids)
        return result is not None and result.status == "finished"

    def _folder(self, spec: TrialSpec) -> Path:
        return self._slot.run_dir / TRIALS_DIR / spec.folder_name

    def _on_progress(self, is_training: bool) -> None:
        import ray

        from trainers.trial.failures import LeaseLostError

        now = time.monotonic()
        if now - self._beaten_at < HEARTBEAT_S and is_training == self._was_training:
            return
        self._beaten_at, self._was_training = now, is_training
        beat = ray.get(self._slot.broker.heartbeat.remote(self._slot.name, self._work, is_training, self._this))
        if beat == "lost":
            raise LeaseLostError
        self._is_leaving = self._is_leaving or beat == "leave" or _is_reclaimed()

    def _on_scored(self) -> None:
        """Nothing is lost by leaving: the weights are published, and scores that are missing are added elsewhere."""
        from trainers.trial.failures import LeaseLostError

        self._on_progress(False)
        if self._is_leaving:
            raise LeaseLostError

    def _on_wait(self) -> None:
        """Rows are on their way: the lease is kept meanwhile."""
        from trainers.trial.failures import LeavingError

        if self._work is not None:
            self._on_progress(False)
        if self._is_leaving:
            raise LeavingError

    def _on_saved(self, spec: TrialSpec, step: int) -> None:
        import ray

        ray.get(self._slot.broker.saved.remote(self._slot.name, spec.train_id, step))

    def _on_publish(self) -> None:
        """Ask whether the lease still holds, however lately it did."""
        self._beaten_at = 0.0
        self._on_progress(False)

    def _on_rung(self, spec: TrialSpec, step: int, outcomes: Sequence[Any]) -> bool:
        import ray

        assert self._work is not None
        bits: dict[str, str] = {}
        for outcome in outcomes:
            bits[outcome.eval_set] = bits.get(outcome.eval_set, "") + ("1" if outcome.correct else "0")
        event = {"train_id": spec.train_id, "step": step, "correct": bits}
        while True:
            # Told again after every wait: a broker that was restarted meanwhile knows of nothing.
            ray.get(self._slot.broker.report.remote(self._work.ticket, event))
            goes_on = ray.get(self._slot.broker.decision.remote(spec.train_id, step))
            if goes_on is not None:
                return bool(goes_on)
            self._on_publish()

    def _on_end(self, spec: TrialSpec, status: str, error: str | None = None) -> None:
        import ray

        assert self._work is not None
        self._is_spent = self._is_spent or status == "timeout"
        event = {"train_id": spec.train_id, "ended": status, "error": error}
        ray.get(self._slot.broker.report.remote(self._work.ticket, event))
