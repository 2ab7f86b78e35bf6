"""One trial inside one worker process: load, train, score, write; the same code under every executor."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from datasets_spec.errors import RecombineError
from trainers.backbone.adapters import add_adapter, load_adapter, save_adapter
from trainers.backbone.backbone import Backbone, load_backbone
from trainers.backbone.memory import free_memory, is_out_of_memory
from trainers.rows.encoded_blocks import SampleRows
from trainers.rows.feeds import Feed, SharedFeed, composition_feed, partition_feed
from trainers.rows.stored_rows import StoredRows
from trainers.scoring.outcome import Outcome, outcomes_table
from trainers.scoring.scorer import score_rows
from trainers.scoring.summary import summarise
from trainers.training.loop import FinetuneResult, WorkerShare, deterministic_algorithms, finetune
from trainers.trial.failures import LeaseLostError, describe_error, failure_status, is_peer_lost, writing_to_run
from trainers.trial.folder import (
    ADAPTER_DIR,
    adapter_sha256,
    begin_attempt,
    commit_attempt,
    commit_first_failure,
    commit_scores,
    finished_result,
    joined_outcomes,
    outcomes_file,
    read_outcomes,
    write_outcomes,
)
from trainers.trial.result import Evaluation, Span, TrialResult, TrialStatus
from trainers.trial.spec import EvalRequest, TrialSpec


@dataclass(frozen=True, kw_only=True)
class WorkerContext:
    """Where a worker stands among the workers of its trial, and how they exchange results."""

    share: WorkerShare
    wrap_model: Callable[[Any], Any]  # identity, or Ray Train's prepare_model (DistributedDataParallel)
    gather: Callable[[list[Outcome]], list[list[Outcome]]]  # every worker's outcomes, on every worker

    @classmethod
    def alone(cls) -> "WorkerContext":
        """Return the context of a single worker."""
        return cls(share=WorkerShare(), wrap_model=lambda model: model, gather=lambda outcomes: [outcomes])


def run_trial(
    spec: TrialSpec,
    rows: StoredRows | SampleRows,
    trials_dir: Path,
    *,
    attempt: str,
    submitted_at: float,
    queue_s: float = 0.0,
    context: WorkerContext | None = None,
    backbone: Backbone | None = None,
    on_batch: Callable[[], None] = lambda: None,
) -> TrialResult:
    """Fine-tune, score and durably publish one trial; rank 0 writes.

    A trial whose weights exist already (same train_id, verified adapter) is not trained again: only the scores that
    are missing are added.

    Failures that belong to the trial (diverged, timeout, out of memory, an error in the data path) become its
    status; only the death of the process is left to the caller.

    Args:
        spec: what to run.
        rows: the study's shared rows.
        trials_dir: RUN/trials on storage that driver and workers share.
        attempt: name that no other attempt of this trial has.
        submitted_at: `time.time()` when the trial was asked for; start-up time counts from there.
        queue_s: for which nothing had room for it before that.
        context: of this worker; None when alone.
        backbone: one that is loaded already, to score many trials in one process.
        on_batch: called after every batch of scoring and every token of a generated answer; may raise to stop.

    Raises:
        LeaseLostError: `on_batch` said so, or the study directory cannot be written; nothing was published.
        RecombineError: this or another of several workers failed; whoever failed first published why.
    """
    context = context or WorkerContext.alone()
    final = trials_dir / spec.folder_name
    known = finished_result(final, spec.train_id)
    with writing_to_run():
        working = begin_attempt(trials_dir, spec.folder_name, attempt) if context.share.rank == 0 else None
    progress = _Progress(known=known, submitted_at=submitted_at, queue_s=queue_s)
    status: TrialStatus = "finished"
    error: str | None = None
    is_lost = False
    try:
        with deterministic_algorithms(spec.deterministic):
            backbone = backbone or load_backbone(spec.backbone)
            progress.startup_s = time.time() - submitted_at
            model = _weights(spec, backbone, rows, final, progress, context)
            _score_missing(spec, backbone, model, rows, context, progress, on_batch)
            if working is not None:
                with writing_to_run():
                    _write_files(spec, model, working, final, progress)
    except LeaseLostError:
        if working is not None:
            shutil.rmtree(working, ignore_errors=True)
        raise
    except Exception as caught:  # noqa: BLE001 - whatever the data path or a chat template throws belongs to the trial
        status, error, is_lost = failure_status(caught), describe_error(caught), is_peer_lost(caught)
    finally:
        if progress.adapted is not None:
            progress.adapted.unload()  # leaves the backbone as it was, for the next trial of this process
    result = progress.result(spec, status, error, working)
    if status != "finished" and context.share.num_workers > 1:
        _publish_first(working or begin_attempt(trials_dir, spec.folder_name, attempt), final, result, is_lost=is_lost)
        raise RecombineError(error or status)  # the other workers wait for this one: Ray Train must end them all
    if working is not None:
        with writing_to_run():
            _publish(working, final, result, is_known=known is not None)
    return result


def _publish_first(working: Path, final: Path, result: TrialResult, *, is_lost: bool) -> None:
    """Publish why one of several workers failed, unless another has said so or was lost."""
    if is_lost:  # no failure of the trial's own: if the other died without a word, Ray Train starts all again
        shutil.rmtree(working)
    else:
        commit_first_failure(working, final, result)


def _publish(working: Path, final: Path, result: TrialResult, *, is_known: bool) -> None:
    """Publish what this attempt has; a failure to add scores leaves finished weights and their scores as they are."""
    if not is_known:
        commit_attempt(working, final, result)
    elif result.status == "finished":
        commit_scores(working, final, result)
    else:
        shutil.rmtree(working)


@dataclass(kw_only=True)
class _Progress:
    """What a running trial has so far."""

    known: TrialResult | None
    submitted_at: float
    queue_s: float = 0.0
    startup_s: float = 0.0
    adapted: Any = None  # the PEFT model around the backbone, as soon as there is one
    trained: FinetuneResult | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)  # by split, new ones only

    def result(self, spec: TrialSpec, status: TrialStatus, error: str | None, working: Path | None) -> TrialResult:
        """Return the result to publish; times of known weights stay those of their training."""
        trained, known = self.trained, self.known
        return TrialResult(
            train_id=spec.train_id,
            status=status,
            num_train_samples=sum(spec.composition.values()),
            num_steps=trained.num_steps if trained else known.num_steps if known else 0,
            train_s=trained.train_s if trained else known.train_s if known else 0.0,
            startup_s=known.startup_s if known else self.startup_s,
            evaluations=tuple(self.evaluations) if status == "finished" else (),
            adapter_sha256=known.adapter_sha256 if known else adapter_sha256(working) if working is not None else None,
            final_loss=trained.final_loss if trained else known.final_loss if known else None,
            num_tokens=trained.num_tokens if trained else known.num_tokens if known else None,
            error=error,
            environment={"torch": torch.__version__, "num_threads": torch.get_num_threads()},
            slot=known.slot if known else None,
            pack_size=known.pack_size if known else 1,
            spans=known.spans if known else self._spans(),
        )

    def _spans(self) -> tuple[Span, ...]:
        """The wait for room, start-up, training and scoring, one after the other."""
        train_s = self.trained.train_s if self.trained else 0.0
        score_s = sum(evaluation.eval_s for evaluation in self.evaluations)
        trained_at = self.submitted_at + self.startup_s
        queued = Span(phase="queue", started_at=self.submitted_at - self.queue_s, duration_s=self.queue_s)
        return (
            *((queued,) if self.queue_s > 0 else ()),
            Span(phase="startup", started_at=self.submitted_at, duration_s=self.startup_s),
            Span(phase="train", started_at=trained_at, duration_s=train_s),
            Span(phase="score", started_at=trained_at + train_s, duration_s=score_s),
        )


def score_requests(
    model: Any,
    backbone: Backbone,
    rows: StoredRows | SampleRows,
    spec: TrialSpec,
    requests: Sequence[EvalRequest],
    context: WorkerContext,
    on_batch: Callable[[], None] = lambda: None,
) -> Iterator[tuple[EvalRequest, Evaluation, list[Outcome]]]:
    """Score each request, its questions shared out over the workers, and put the outcomes back in order.

    Where `eval_batch_size` questions do not fit into memory, half as many are asked at a time, down to one.
    """
    share, batch_size = context.share, spec.eval_batch_size
    for request in requests:
        started = time.monotonic()
        feed = partition_feed(rows, backbone, request.eval_set, request.split)
        mine = SharedFeed(feed, range(share.rank, len(feed), share.num_workers))
        while (outcomes := _scored_if_it_fits(model, backbone, mine, request, batch_size, on_batch)) is None:
            free_memory(backbone.device)  # outside of `except`, which holds the failed pass's tensors
            batch_size //= 2
        parts = context.gather(outcomes)
        merged = [parts[i % share.num_workers][i // share.num_workers] for i in range(len(feed))]
        yield request, summarise(spec, request, merged, time.monotonic() - started), merged


def _scored_if_it_fits(
    model: Any, backbone: Backbone, feed: Feed, request: EvalRequest, batch_size: int, on_batch: Callable[[], None]
) -> list[Outcome] | None:
    """Return the outcomes; None where fewer questions at a time may fit."""
    try:
        return score_rows(
            model,
            backbone.encoder,
            feed,
            eval_set=request.eval_set,
            split=request.split,
            batch_size=batch_size,
            generate=request.generate,
            on_batch=on_batch,
        )
    except Exception as error:
        if batch_size == 1 or not is_out_of_memory(error):
            raise
    return None


def _weights(
    spec: TrialSpec,
    backbone: Backbone,
    rows: StoredRows | SampleRows,
    final: Path,
    progress: _Progress,
    context: WorkerContext,
) -> Any:
    """Return the model of this trial: the bare backbone, a known adapter, or one trained now."""
    if not spec.composition:
        return backbone.model
    if progress.known is not None:
        progress.adapted = load_adapter(backbone, final / ADAPTER_DIR)
        return progress.adapted
    # The first batch may hold one subset only; contract 9 wants every subset's images proven to arrive.
    for subset in spec.composition:
        first = partition_feed(rows, backbone, subset, "train", 1)
        first.prompt_inputs(first.take([0]))
    progress.adapted = add_adapter(backbone, spec.recipe, seed=spec.seed)
    progress.trained = finetune(
        context.wrap_model(progress.adapted),
        composition_feed(rows, backbone, spec.composition),
        spec.recipe,
        seed=spec.seed,
        share=context.share,
        deadline_s=None if spec.timeout_s is None else time.monotonic() + spec.timeout_s,
    )
    return progress.adapted


def _score_missing(
    spec: TrialSpec,
    backbone: Backbone,
    model: Any,
    rows: StoredRows | SampleRows,
    context: WorkerContext,
    progress: _Progress,
    on_batch: Callable[[], None],
) -> None:
    progress.evaluations = list(progress.known.evaluations) if progress.known else []
    have = {e.score_id for e in progress.evaluations}
    missing = [request for request in spec.evaluations if spec.score_id(request) not in have]
    for request, evaluation, outcomes in score_requests(model, backbone, rows, spec, missing, context, on_batch):
        progress.evaluations.append(evaluation)
        progress.outcomes.setdefault(request.split, []).extend(outcomes)


def _write_files(spec: TrialSpec, model: Any, working: Path, final: Path, progress: _Progress) -> None:
    """Write adapter and outcomes; of a known trial only the files that change, without scores that are replaced."""
    if progress.known is None and spec.composition:
        save_adapter(model, working / ADAPTER_DIR, spec.backbone)
    for split, outcomes in progress.outcomes.items():
        table = outcomes_table(outcomes)
        if progress.known is not None and (final / outcomes_file(split)).is_file():
            table = joined_outcomes(read_outcomes(final, [split]), table)
        write_outcomes(working, split, table)


def gather_over(num_workers: int) -> Any:
    """Return a function that gives every worker the outcomes of all, by rank."""

    def gather(outcomes: list[Any]) -> list[list[Any]]:
        import torch.distributed

        parts: list[list[Any]] = [[] for _ in range(num_workers)]
        torch.distributed.all_gather_object(parts, outcomes)
        return parts

    return gather
