"""Trials of one slot, trained and scored side by side; each is published as if it had run alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainers.backbone.adapters import save_adapter
from trainers.backbone.backbone import Backbone
from trainers.rows.encoded_blocks import SampleRows
from trainers.rows.feeds import composition_feed, partition_feed
from trainers.rows.stored_rows import StoredRows
from trainers.scoring.outcome import Outcome, outcomes_table
from trainers.scoring.scorer import score_adapters
from trainers.scoring.summary import summarise
from trainers.training.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint
from trainers.training.packed_adapters import AdapterWeights, as_peft_model
from trainers.training.packed_loop import Member, Pack
from trainers.trial.failures import LeaseLostError, LeavingError, describe_error, failure_status, writing_to_run
from trainers.trial.folder import (
    ADAPTER_DIR,
    TRIALS_DIR,
    adapter_sha256,
    begin_attempt,
    commit_attempt,
    write_outcomes,
)
from trainers.trial.result import Evaluation, Span, TrialResult, TrialStatus
from trainers.trial.spec import EvalRequest, TrialSpec

CHECKPOINT_S = 60.0  # training time that a dying slot may cost


@dataclass(frozen=True, kw_only=True)
class PackListener:
    """Who is told what happens to trials, and decides on rungs.

    Attributes:
        on_progress: called with whether training goes on; raises `LeaseLostError`.
        on_rung: called with a trial, the step and its outcomes so far; returns whether it goes on.
        on_publish: called before anything of a trial is published; raises `LeaseLostError`.
        on_end: called with a trial and its status, after it was published.
        on_saved: called with a trial and its step, after it was trained and saved.
        is_leaving: whether to save what is on its way and end, asked after every step and every batch of questions.
    """

    on_progress: Callable[[bool], None] = lambda is_training: None
    on_rung: Callable[[TrialSpec, int, Sequence[Outcome]], bool] = lambda spec, step, outcomes: True
    on_publish: Callable[[], None] = lambda: None
    on_end: Callable[[TrialSpec, TrialStatus], None] = lambda spec, status: None
    on_saved: Callable[[TrialSpec, int], None] = lambda spec, step: None
    is_leaving: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True)
class SlotContext:
    """What trials of a slot share.

    Attributes:
        backbone: loaded, frozen, without an adapter.
        samples: the study's encoded rows.
        run_dir: the study directory.
        slot: the slot's name.
        submitted_at: `time.time()` when these trials were asked for.
        listener: hears of them.
        checkpoint_s: training time between two checkpoints.
    """

    backbone: Backbone
    samples: StoredRows | SampleRows
    run_dir: Path
    slot: str
    submitted_at: float
    listener: PackListener = PackListener()
    checkpoint_s: float = CHECKPOINT_S


@dataclass(kw_only=True, eq=False)
class _Trial:
    """A trial on its way; without a member it is the bare backbone."""

    spec: TrialSpec
    member: Member | None = None
    spans: list[Span] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)  # by split


class PackRun:
    """One go at a set of trials.

    Args:
        context: of the slot.
        specs: none of which has a finished folder, with equal `pack_shape`.
        attempt: name that no other attempt of these trials has.
    """

    def __init__(self, context: SlotContext, specs: Sequence[TrialSpec], attempt: str) -> None:
        self._context = context
        self._attempt = attempt
        self._began_at = time.time()
        self._open = {spec.train_id: _Trial(spec=spec) for spec in specs}
        self._pack_size = len(specs)

    @property
    def unpublished(self) -> list[TrialSpec]:
        """Trials without an end."""
        return [trial.spec for trial in self._open.values()]

    def run(self) -> None:
        """Train, score and publish."""
        queue_s = self._began_at - self._context.submitted_at
        for trial in self._open.values():
            trial.spans.append(Span(phase="queue", started_at=self._context.submitted_at, duration_s=queue_s))
        bare = [trial for trial in self._open.values() if not trial.spec.composition]
        for trial in bare:
            self._score([trial], trial.spec.evaluations)
            self._publish(trial, "finished")
        with self._timed("startup", list(self._open.values())):
            pack = self._begin()
        if pack is not None:
            self._train(pack)

    def fail(self, spec: TrialSpec, status: TrialStatus, error: str) -> None:
        """Publish a trial that has no result."""
        self._publish(self._open[spec.train_id], status, error=error)

    def _begin(self) -> Pack | None:
        states = {}
        for trial in list(self._open.values()):
            spec = trial.spec
            try:
                feed = composition_feed(self._context.samples, self._context.backbone, spec.composition)
                trial.member = Member(recipe=spec.recipe, feed=feed, seed=spec.seed)
                states[trial.member] = state = load_checkpoint(self._checkpoint(spec), spec.train_id)
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - its own rows: the other trials have nothing to do with it
                self.fail(spec, failure_status(error), describe_error(error))
                continue
            if state is not None:  # when it was is not kept: it ended before this began
                before = Span(phase="train", started_at=self._began_at - state.train_s, duration_s=state.train_s)
                trial.spans.append(before)
        if not states:
            return None
        return Pack(self._context.backbone, list(states), states=list(states.values()))

    def _train(self, pack: Pack) -> None:
        trial_of = {trial.member: trial for trial in self._open.values()}
        try:
            self._train_members(pack, trial_of)
        except LeavingError:
            for member in pack.members:
                if trial_of[member].spec.train_id in self._open:
                    self._save(pack, trial_of[member])
            raise

    def _train_members(self, pack: Pack, trial_of: Mapping[Member | None, _Trial]) -> None:
        saved_s = {member: member.train_s for member in pack.members}
        self._at_rungs(
            pack, trial_of
        )  # a checkpoint may stand at a rung whose decision its process did not live to see
        self._end_members(pack, trial_of, [m for m in pack.members if m.num_steps >= m.recipe.num_steps])
        while pack.members:
            members = list(pack.members)
            with self._timed("train", [trial_of[member] for member in members]):
                lost = pack.advance(1, on_micro_batch=lambda: self._context.listener.on_progress(True))
            for member in lost:
                self._publish(trial_of[member], "diverged", error=f"DivergedError: {member.diverged}")
            self._stop_late(pack, trial_of)
            self._at_rungs(pack, trial_of)
            for member in pack.members:
                if member.train_s - saved_s[member] > self._context.checkpoint_s:
                    self._save(pack, trial_of[member])
                    self._context.listener.on_saved(trial_of[member].spec, member.num_steps)
                    saved_s[member] = member.train_s
            self._end_members(pack, trial_of, [m for m in pack.members if m.num_steps >= m.recipe.num_steps])
            if pack.members:
                self._leave_if_asked()

    def _stop_late(self, pack: Pack, trial_of: Mapping[Member | None, _Trial]) -> None:
        for member in list(pack.members):
            limit_s, spec = trial_of[member].spec.timeout_s, trial_of[member].spec
            if limit_s is not None and member.train_s > limit_s and member.num_steps < spec.recipe.num_steps:
                pack.remove([member])
                error = f"stopped after {member.num_steps} of {spec.recipe.num_steps} steps: the trial's time is over"
                self._publish(trial_of[member], "timeout", error=f"TrialTimeoutError: {error}")

    def _at_rungs(self, pack: Pack, trial_of: Mapping[Member | None, _Trial]) -> None:
        here = [m for m in pack.members if m.num_steps in trial_of[m].spec.rungs]
        if not here:
            return
        trials = [trial_of[member] for member in pack.members if member in here]
        requests = [r for r in trials[0].spec.evaluations if r.split == "search"]
        with pack.scoring(here) as model:
            self._score(trials, requests, model)
        for trial in trials:
            self._save(pack, trial)
        stopped = []
        for trial in trials:
            outcomes = list(trial.outcomes.get("search", []))
            member = trial.member
            assert member is not None
            if not self._context.listener.on_rung(trial.spec, member.num_steps, outcomes):
                self._publish(trial, "stopped_early")
                stopped.append(member)
        for trial in trials:
            trial.evaluations, trial.outcomes = [], {}  # of a rung only; finals are scored anew
        pack.remove(stopped)

    def _end_members(self, pack: Pack, trial_of: Mapping[Member | None, _Trial], ended: Sequence[Member]) -> None:
        """Score and publish members that have made their last step, and take them out."""
        trials = [trial_of[member] for member in pack.members if member in ended]
        if not trials:
            return
        requests: list[EvalRequest] = []
        for trial in trials:
            known = {(r.eval_set, r.split, r.generate) for r in requests}
            requests += [r for r in trial.spec.evaluations if (r.eval_set, r.split, r.generate) not in known]
        with pack.scoring(ended) as model:
            self._score(trials, requests, model)
        for trial in trials:
            assert trial.member is not None
            self._publish(trial, "finished", weights=pack.weights(trial.member))
        pack.remove(ended)

    def _score(self, trials: Sequence[_Trial], requests: Sequence[EvalRequest], model: Any = None) -> None:
        """Score trials on requests with the adapters in `model`, in their order; the bare backbone without it."""
        backbone, spec = self._context.backbone, trials[0].spec
        for request in requests:
            self._context.listener.on_progress(False)  # what is waited for here is no training time
            started = time.monotonic()
            with self._timed("score", trials):
                scored = score_adapters(
                    backbone.model if model is None else model,
                    backbone.encoder,
                    partition_feed(self._context.samples, backbone, request.eval_set, request.split),
                    num_adapters=len(trials),
                    eval_set=request.eval_set,
                    split=request.split,
                    batch_size=max(1, spec.eval_batch_size // len(trials)),
                    generate=request.generate,
                    on_batch=self._on_scored,
                )
            eval_s = (time.monotonic() - started) / len(trials)
            for trial, outcomes in zip(trials, scored, strict=True):
                for own in trial.spec.evaluations:  # exposures differ from trial to trial
                    if (own.eval_set, own.split, own.generate) == (request.eval_set, request.split, request.generate):
                        step = trial.member.num_steps if trial.member else None
                        trial.evaluations.append(summarise(trial.spec, own, outcomes, eval_s, step=step))
                        trial.outcomes.setdefault(own.split, []).extend(outcomes)

    def _on_scored(self) -> None:
        self._context.listener.on_progress(False)
        self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        if self._context.listener.is_leaving():
            raise LeavingError

    def _publish(
        self, trial: _Trial, status: TrialStatus, *, error: str | None = None, weights: AdapterWeights | None = None
    ) -> None:
        """Write a trial's folder, tell the listener, and be done with it."""
        spec, member = trial.spec, trial.member
        self._context.listener.on_publish()
        trials_dir = self._context.run_dir / TRIALS_DIR
        with writing_to_run():
            working = begin_attempt(trials_dir, spec.folder_name, self._attempt)
        with self._timed("checkpoint", [trial]), writing_to_run():
            if weights is not None:
                with as_peft_model(self._context.backbone, spec.recipe, weights) as model:
                    save_adapter(model, working / ADAPTER_DIR, spec.backbone)
            if status in ("finished", "stopped_early"):
                for split, outcomes in trial.outcomes.items():
                    write_outcomes(working, split, outcomes_table(outcomes))
        result = TrialResult(
            train_id=spec.train_id,
            status=status,
            num_train_samples=sum(spec.composition.values()),
            num_steps=member.num_steps if member else 0,
            train_s=member.train_s if member else 0.0,
            startup_s=sum(s.duration_s / s.sharing for s in trial.spans if s.phase == "startup"),
            evaluations=tuple(trial.evaluations) if status in ("finished", "stopped_early") else (),
            adapter_sha256=adapter_sha256(working),
            final_loss=member.loss if member and member.num_steps else None,
            num_tokens=member.num_tokens if member else None,
            error=error,
            environment={"torch": torch.__version__, "num_threads": torch.get_num_threads()},
            slot=self._context.slot,
            pack_size=self._pack_size,
            spans=tuple(_merged(trial.spans, member.data_s if member else 0.0)),
        )
        with writing_to_run():
            commit_attempt(working, trials_dir / spec.folder_name, result)
            self._checkpoint(spec).unlink(missing_ok=True)
        del self._open[spec.train_id]
        self._context.listener.on_end(spec, status)

    def _save(self, pack: Pack, trial: _Trial) -> None:
        assert trial.member is not None
        with self._timed("checkpoint", [trial]), writing_to_run():
            save_checkpoint(self._checkpoint(trial.spec), trial.spec.train_id, pack.state(trial.member))

    def _checkpoint(self, spec: TrialSpec) -> Path:
        return checkpoint_file(self._context.run_dir, spec.train_id)

    @contextmanager
    def _timed(self, phase: Any, trials: Sequence[_Trial]) -> Iterator[None]:
        started_at, started = time.time(), time.monotonic()
        try:
            yield
        finally:
            span = Span(
                phase=phase, started_at=started_at, duration_s=time.monotonic() - started, sharing=max(1, len(trials))
            )
            for trial in trials:
                trial.spans.append(span)


def _merged(spans: Sequence[Span], data_s: float) -> list[Span]:
    """Join spans of a phase that follow each other; waiting for samples is told apart from the training around it."""
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and (last.phase, last.sharing) == (span.phase, span.sharing):
            until = span.started_at + span.duration_s
            merged[-1] = last.model_copy(update={"duration_s": until - last.started_at})
        else:
            merged.append(span)
    training = [span for span in merged if span.phase == "train"]
    if training:
        merged.append(Span(phase="data", started_at=training[0].started_at, duration_s=data_s))
    return merged
