"""A slot: one long-lived Ray Train run that holds the backbone and works off what it leases."""

from __future__ import annotations

import os
import resource
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.backbone_spec import BackboneSpec
from trainers.executors.broker import Work
from trainers.rows.encoded_blocks import SampleRows
from trainers.rows.row_blocks import RowBlocks
from trainers.trial.folder import TRIALS_DIR, attempt_name
from trainers.trial.spec import TrialSpec

HEARTBEAT_S = 1.0
# A slot starts anew after so many trials, or when its process has grown by so much: leaks of libraries end with it.
RECYCLE_TRIALS = 1_000
RECYCLE_GROWTH_GIB = 2.0


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
        max_pack: largest pack that is tried.
        checkpoint_s: training time between two checkpoints.
        recycle_trials: trials after which the process ends and another begins.
    """

    name: str
    broker: Any
    backbone: BackboneSpec
    rows: RowBlocks | SampleRows
    run_dir: Path
    num_threads: int
    measure: TrialSpec | None
    max_pack: int
    checkpoint_s: float
    recycle_trials: int = RECYCLE_TRIALS


def serve_slot(config: Mapping[str, Any]) -> None:
    """Run inside every Ray Train worker of a slot until the broker closes or the slot is to be recycled.

    A backbone that cannot be loaded is told to the broker: no other slot could load it either.
    """
    import ray
    import torch

    from trainers.backbone.backbone import load_backbone

    slot: SlotConfig = config["slot"]
    torch.set_num_threads(slot.num_threads)
    started_at = time.time()
    try:
        backbone = load_backbone(slot.backbone)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user must hear
        ray.get(slot.broker.fail.remote(f"{type(error).__name__}: {error}"))
        return
    rank, num_workers = _place()
    process = uuid.uuid4().hex
    try:
        packs = _packs(slot, backbone) if num_workers == 1 else {}
    except Exception as error:  # noqa: BLE001 - no slot could train it, and a new process would fail as this one
        ray.get(slot.broker.fail.remote(f"measuring packs ended in {_words(error)}"))
        return
    about = {"started_at": started_at, "ready_at": time.time(), "pid": os.getpid(), "pack_size": 1, **packs}
    server = _Server(slot, backbone, process, about.get("micro_batch_size")) if num_workers == 1 else None
    if rank == 0:
        this = ray.get_runtime_context().current_actor
        ray.get(slot.broker.register.remote(slot.name, process, about, this))
    if server is not None:
        server.serve()
    else:
        _serve_together(slot, backbone, process, rank, num_workers)


def _packs(slot: SlotConfig, backbone: Any) -> Mapping[str, Any]:
    """Return the pack size that is fastest here, and what was measured."""
    from trainers.training.pack_size import measure_pack_sizes

    if slot.measure is None or slot.max_pack == 1:
        return {}
    return measure_pack_sizes(backbone, slot.rows, slot.measure, max_pack=slot.max_pack)


def _words(error: Exception) -> str:
    """What a user may read of an error: torch's and our own words, else its type and place (it may quote the data)."""
    from trainers.trial.failures import describe_error

    words = describe_error(error)
    is_torch = isinstance(error, RuntimeError) and not isinstance(error, RecombineError)
    return f"{words}: {str(error).splitlines()[0]}" if is_torch and str(error) else words


def _place() -> tuple[int, int]:
    import ray.train

    context = ray.train.get_context()
    return context.get_world_rank(), context.get_world_size()


class _Server:
    """A slot of one worker."""

    def __init__(self, slot: SlotConfig, backbone: Any, process: str, micro_batch_size: int | None) -> None:
        self._slot = slot
        self._micro_batch_size = micro_batch_size
        self._process = process
        self._backbone = backbone
        self._work: Work | None = None
        self._beaten_at = 0.0
        self._was_training = False
        self._num_trials = 0

    def serve(self) -> None:
        """Lease, work, finish, until there is no more to do."""
        import ray

        base_gib = _memory_gib()
        while self._num_trials < self._slot.recycle_trials and _memory_gib() - base_gib < RECYCLE_GROWTH_GIB:
            work = ray.get(self._slot.broker.lease.remote(self._slot.name, self._process))
            if work == "close":
                return
            if work is not None:
                self._do(work)
                ray.get(self._slot.broker.finish.remote(self._slot.name, work))

    def _do(self, work: Work) -> None:
        import ray

        from trainers.executors.memory_ladder import run_packed_trials, within_micro_batch
        from trainers.executors.packed_trials import LeaseLostError, PackListener, SlotContext
        from trainers.trial.folder import finished_result

        self._work, self._beaten_at = work, 0.0
        specs = [
            within_micro_batch(TrialSpec.model_validate(spec), self._micro_batch_size) for spec in work.specs.values()
        ]
        self._num_trials += len(specs)
        context = SlotContext(
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
            ),
            checkpoint_s=self._slot.checkpoint_s,
        )
        try:
            known = [s for s in specs if finished_result(self._folder(s), s.train_id) is not None]
            for spec in known:
                self._on_publish()  # a pack of merges may take longer to score than a lease lasts
                self._score_known(spec, work)
            if fresh := [spec for spec in specs if spec not in known]:
                run_packed_trials(context, fresh, attempt=attempt_name())
        except LeaseLostError:
            return
        finally:
            ray.get(self._slot.broker.heartbeat.remote(self._slot.name, work, False))

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
        )
        self._on_end(spec, result.status)

    def _folder(self, spec: TrialSpec) -> Path:
        return self._slot.run_dir / TRIALS_DIR / spec.folder_name

    def _on_progress(self, is_training: bool) -> None:
        import ray

        from trainers.executors.packed_trials import LeaseLostError

        now = time.monotonic()
        if now - self._beaten_at < HEARTBEAT_S and is_training == self._was_training:
            return
        self._beaten_at, self._was_training = now, is_training
        if not ray.get(self._slot.broker.heartbeat.remote(self._slot.name, self._work, is_training)):
            raise LeaseLostError

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

    def _on_end(self, spec: TrialSpec, status: str) -> None:
        import ray

        assert self._work is not None
        event = {"train_id": spec.train_id, "ended": status}
        ray.get(self._slot.broker.report.remote(self._work.ticket, event))


def _serve_together(slot: SlotConfig, backbone: Any, process: str, rank: int, num_workers: int) -> None:
    """A slot of several workers: each trial is shared by all (DistributedDataParallel), one after the other."""
    import ray
    import torch.distributed
    from ray.train.torch import prepare_model

    from trainers.executors.one_trial import WorkerContext, gather_over, run_trial
    from trainers.training.loop import WorkerShare

    context = WorkerContext(
        share=WorkerShare(rank=rank, num_workers=num_workers),
        wrap_model=prepare_model,
        gather=gather_over(num_workers),
    )
    while True:
        leased = [ray.get(slot.broker.lease.remote(slot.name)) if rank == 0 else None]
        torch.distributed.broadcast_object_list(leased, src=0)
        work: Any = leased[0]
        if work == "close":
            return
        if work is None:
            continue

        def beat(step: int, loss: float, work: Any = work) -> None:
            if rank == 0:
                slot.broker.heartbeat.remote(slot.name, work, True)

        for dumped in work.specs.values():
            result = run_trial(
                TrialSpec.model_validate(dumped),
                slot.rows,
                slot.run_dir / TRIALS_DIR,
                attempt=attempt_name(),
                submitted_at=work.submitted_at,
                context=context,
                backbone=backbone,
                on_step=beat,
            )
            if rank == 0:
                event = {"train_id": result.train_id, "ended": result.status}
                ray.get(slot.broker.report.remote(work.ticket, event))
        if rank == 0:
            ray.get(slot.broker.finish.remote(slot.name, work))


def _memory_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
