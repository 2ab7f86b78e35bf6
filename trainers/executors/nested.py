"""The nested executor: one Ray Train (V2) run for every trial, started from inside a Ray Tune trial.

The documented pattern, and the reference for every other executor. A Train worker loads the backbone, trains, scores
and publishes the trial's folder; the Tune trial around it only waits. Measured cost of the pattern and its remedies:
docs/benchmarks.md.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.errors import RecombineError
from trainers.executors.kept_memory import keep_freed_memory
from trainers.executors.resources import TrialResources, free_room, why_none_placed, worker_resources
from trainers.executors.run_errors import OtherNodeError, has_no_room, other_node_in, reason_of
from trainers.rows.stored_rows import StoredRows
from trainers.trial.folder import (
    CACHE_DIR,
    RESULT_FILE,
    TRIALS_DIR,
    attempt_name,
    begin_attempt,
    commit_attempt,
    finished_result,
    read_result,
    scores_without_weights,
)
from trainers.trial.result import TrialResult, failed_result
from trainers.trial.spec import TrialSpec

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer


# In the folder of a Train run: its workers have had room. One that died then counts, whatever its run waits for next.
_BEGUN = "begun"


class TrialDiedError(RecombineError):
    """A trial ended without a result of its own."""


def run_nested_trial(
    spec: TrialSpec,
    rows: StoredRows,
    run_dir: Path,
    resources: TrialResources,
    *,
    submitted_at: float,
    label: str = "recombine",
    nodes_go: bool = False,
    on_wait: Callable[[str], None] = lambda words: None,
    other_versions: Callable[[], str | None] = lambda: None,
) -> TrialResult:
    """Run one trial as a Ray Train run and return its result; while no nodes have room for it, it waits.

    Args:
        spec: what to run.
        rows: the study's shared rows.
        run_dir: the study directory, on storage that driver and workers share.
        resources: workers, CPUs and GPUs of this trial.
        submitted_at: `time.time()` when the trial was asked for.
        label: what the dashboard shows before the trial's name.
        nodes_go: whether idle nodes of the cluster go.
        on_wait: told once that it waits for room, and for what.
        other_versions: asked by every worker: how its node's versions differ from the driver's; None: not at all.

    Raises:
        TrialDiedError: weights that exist could not be scored. Any other death becomes a `failed` result.
        OtherNodeError: in the last try, too, a worker came to a node with other versions; the trial has no result.
    """
    final = run_dir / TRIALS_DIR / spec.folder_name
    if finished_result(final, spec.train_id) is None and scores_without_weights(final, spec.train_id) is None:
        shutil.rmtree(final, ignore_errors=True)  # an earlier failure must not be read as this attempt's result
    storage, asked_at, num_lost = run_dir / CACHE_DIR / "train", submitted_at, 0
    while True:
        # A reused run name silently resumes stale state in Train V2, so every attempt has a fresh one.
        name = f"{label}-{spec.folder_name}-{uuid.uuid4().hex[:8]}"
        begun = storage / name / _BEGUN
        given = {
            "spec": spec.model_dump(mode="json"),
            "rows": rows,
            "trials_dir": str(run_dir / TRIALS_DIR),
            "num_threads": resources.num_threads,
            "is_local": resources.num_workers == 0,
            "submitted_at": asked_at,
            "queue_s": asked_at - submitted_at,
            "begun": str(begun),
            "other_versions": other_versions,
        }
        try:
            _trainer(given, resources, name=name, storage=storage, nodes_go=nodes_go).fit()
        except Exception as error:  # noqa: BLE001 - in local mode Ray Train raises whatever the train function raised
            reason, other_node = reason_of(error), other_node_in(error)
        else:
            return _published(final, spec)
        num_lost += begun.is_file()
        is_whole = (final / RESULT_FILE).is_file() and _is_whole(read_result(final), spec)
        if other_node is not None and not is_whole:
            raise other_node  # nothing of the trial has failed: it leaves no folder that says so
        if is_whole or not has_no_room(reason) or num_lost > resources.max_failures:
            return _ended(reason, final, spec)
        # Where the cluster is full, or a node is on its way, the request for room is renewed, as that of a slot.
        if asked_at == submitted_at:
            wanted = f"{resources.num_workers} times {worker_resources(resources)}"
            on_wait(f"{wanted}; free are {free_room()}; {why_none_placed([resources])}")
        asked_at = time.time()


def _ended(reason: str, final: Path, spec: TrialSpec) -> TrialResult:
    """Return what a run that ended by an error has published, or publish that its processes died."""
    if (final / RESULT_FILE).is_file():  # it failed, and could say why
        return _published(final, spec)
    failure = failed_result(spec, f"its worker processes died ({reason})")
    commit_attempt(begin_attempt(final.parent, spec.folder_name, attempt_name()), final, failure)
    return failure


def _trainer(
    given: Mapping[str, Any], resources: TrialResources, *, name: str, storage: Path, nodes_go: bool
) -> TorchTrainer:
    """Return the Train run that gives its workers what a trial needs."""
    import ray.train
    from ray.train.torch import TorchTrainer

    from trainers.executors.process_group import torch_config

    return TorchTrainer(
        train_worker,
        train_loop_config=dict(given),
        torch_config=torch_config(resources.num_workers, nodes_go=nodes_go),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.num_workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker=worker_resources(resources),
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(storage),
            failure_config=ray.train.FailureConfig(max_failures=resources.max_failures, controller_failure_limit=3),
        ),
    )


def _published(final: Path, spec: TrialSpec) -> TrialResult:
    """Return what the folder says; finished weights whose new scores are missing are a failure of this attempt."""
    result = read_result(final)
    if not _is_whole(result, spec):
        raise TrialDiedError(f"the weights of trial {spec.folder_name} are kept, but could not be scored")
    return result


def _is_whole(result: TrialResult, spec: TrialSpec) -> bool:
    """Whether it is a failure, or has all scores."""
    return result.status != "finished" or spec.score_ids <= {e.score_id for e in result.evaluations}


def _published_failure(final: Path) -> TrialResult | None:
    result = read_result(final) if (final / RESULT_FILE).is_file() else None
    return result if result is not None and result.status != "finished" else None


def train_worker(config: Mapping[str, Any]) -> dict[str, Any]:
    """Run inside every Ray Train worker: one share of one trial.

    Returns:
        train_id and status of the trial; the result itself is in the trial's folder.

    Raises:
        OtherNodeError: this node, which may have joined late, runs other versions than the driver.
    """
    import ray.train
    import torch
    from ray.train.torch import prepare_model

    from trainers.executors.one_trial import WorkerContext, gather_over, run_trial
    from trainers.training.loop import WorkerShare

    keep_freed_memory()
    torch.set_num_threads(config["num_threads"])
    share, context = WorkerShare(), WorkerContext.alone()
    if not config["is_local"]:  # inside a Tune function Train's own context is refused
        Path(config["begun"]).parent.mkdir(parents=True, exist_ok=True)
        Path(config["begun"]).touch()
        train_context = ray.train.get_context()
        share = WorkerShare(rank=train_context.get_world_rank(), num_workers=train_context.get_world_size())
    if (words := config["other_versions"]()) is not None:
        raise OtherNodeError(words)
    if share.num_workers > 1:
        context = WorkerContext(share=share, wrap_model=prepare_model, gather=gather_over(share.num_workers))
    spec = TrialSpec.model_validate(config["spec"])
    # A failure of the trial itself is published and then ends all workers, which Train starts again: the trial would
    # fail as before. `run_nested_trial` has removed what an earlier run left, so what lies here is this run's.
    result = _published_failure(Path(config["trials_dir"]) / spec.folder_name)
    result = result or run_trial(
        spec,
        config["rows"],
        Path(config["trials_dir"]),
        attempt=attempt_name(),
        submitted_at=config["submitted_at"],
        queue_s=config["queue_s"],
        context=context,
    )
    metrics = {"train_id": result.train_id, "status": result.status}
    if not config["is_local"]:
        ray.train.report(metrics)
    return metrics
