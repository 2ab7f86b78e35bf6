"""One trial shared by two and three real workers: unequal parts, a failure in one, a time-out, a death."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from datasets_spec.errors import RecombineError
from tests.makers.families import tiny_backbone
from tests.makers.gloo_workers import run_workers
from tests.trainers.executors.test_one_trial import RECIPE, ROWS, make_rows, make_spec, request
from trainers.backbone.backbone import Backbone
from trainers.executors import one_trial
from trainers.executors.one_trial import WorkerContext, gather_over, run_trial
from trainers.training.loop import WorkerShare
from trainers.trial.folder import read_outcomes, read_result

# Six samples a step in micro-batches of two: of three workers each has one micro-batch, of two a whole and a half one.
SPEC = make_spec(
    evaluations=(request("t"), request("t", "confirm")),
    recipe=RECIPE.model_copy(update={"batch_size": 6, "micro_batch_size": 2, "num_steps": 3}),
)
FOLDER = SPEC.folder_name


def context_of(rank: int, num_workers: int) -> WorkerContext:
    return WorkerContext(
        share=WorkerShare(rank=rank, num_workers=num_workers),
        wrap_model=torch.nn.parallel.DistributedDataParallel,
        gather=gather_over(num_workers),
    )


def work(rank: int, num_workers: int, folder: Path, trouble: str) -> None:
    """One worker; the last one may get into trouble."""
    spec, rows, backbone = SPEC, ROWS, tiny_backbone("llava")
    if rank == num_workers - 1:
        if trouble == "broken image":
            rows = make_rows({"images": [b"no picture"]})
        if trouble == "late":
            spec = SPEC.model_copy(update={"timeout_s": -1.0})
        if trouble == "killed":
            setattr(one_trial, "score_rows", lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL))  # noqa: B010
    run_trial(
        spec, rows, folder / "trials", attempt=str(rank), submitted_at=0.0, backbone=backbone,
        context=context_of(rank, num_workers),
    )  # fmt: skip


def weights(folder: Path) -> torch.Tensor:
    tensors = load_file(folder / "adapter" / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_with_unequal_parts_do_the_experiment_of_one(tmp_path: Path, num_workers: int) -> None:
    """Five questions are unequal parts for two and for three."""
    run_trial(SPEC, ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=tiny_backbone("llava"))
    assert run_workers(work, num_workers, tmp_path / "shared", "none") == ["ended"] * num_workers
    alone, shared = tmp_path / "alone" / FOLDER, tmp_path / "shared" / "trials" / FOLDER
    assert read_result(shared).status == "finished"
    # The sum of a batch is cut, so the last digits differ: Adam turns 1e-7 in a gradient into 1e-4 at most.
    assert torch.allclose(weights(alone), weights(shared), atol=1e-2)
    columns = ["eval_set", "split", "sample_id"]
    assert read_outcomes(shared).select(columns).equals(read_outcomes(alone).select(columns))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_workers", "trouble", "status", "words"),
    [(2, "broken image", "failed", "Image"), (3, "broken image", "failed", "Image"), (3, "late", "timeout", "0 of 3")],
)
def test_trouble_of_one_worker_ends_all_and_is_told_once(
    tmp_path: Path, num_workers: int, trouble: str, status: str, words: str
) -> None:
    ends = run_workers(work, num_workers, tmp_path, trouble)
    assert all(end.startswith("RecombineError") for end in ends), ends
    result = read_result(tmp_path / "trials" / FOLDER)
    assert result.status == status
    assert words in str(result.error)
    assert [path.name for path in (tmp_path / "trials").iterdir()] == [FOLDER]


@pytest.mark.slow
def test_a_worker_that_dies_is_no_failure_of_its_trial(tmp_path: Path) -> None:
    first, second = run_workers(work, 2, tmp_path, "killed")
    assert (first.split(":")[0], second) == ("RecombineError", "died")
    assert not list((tmp_path / "trials").iterdir())  # Ray Train may start it again


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def run_share(trials: Path, backbone: Backbone, rank: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(one_trial, "finetune", fail)
    alone = WorkerContext.alone()
    share = WorkerShare(rank=rank, num_workers=2)
    context = WorkerContext(share=share, wrap_model=alone.wrap_model, gather=alone.gather)
    with pytest.raises(RecombineError):
        run_trial(SPEC, ROWS, trials, attempt=str(rank), submitted_at=0.0, backbone=backbone, context=context)


GONE = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4711")


def test_whoever_fails_says_why_and_who_only_lost_the_other_does_not(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_share(tmp_path, backbone, 0, GONE, monkeypatch)
    assert not list(tmp_path.iterdir())
    run_share(tmp_path, backbone, 1, torch.OutOfMemoryError(), monkeypatch)
    assert read_result(tmp_path / FOLDER).status == "oom"
    run_share(tmp_path, backbone, 0, GONE, monkeypatch)
    run_share(tmp_path, backbone, 0, ValueError(), monkeypatch)
    assert read_result(tmp_path / FOLDER).status == "oom"
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


def test_gradients_are_averaged_once_a_step(tmp_path: Path, backbone: Backbone) -> None:
    """A group of one worker: three micro-batches, and one exchange for each of DDP's buckets."""
    import torch.distributed as dist
    from torch._C._distributed_c10d import FileStore
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
    from torch.nn.parallel import DistributedDataParallel

    exchanged: list[int] = []

    def note(group, bucket):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - torch takes no types as text
        exchanged.append(bucket.index())
        return allreduce_hook(group, bucket)

    def wrap(model: Any) -> Any:
        wrapped = DistributedDataParallel(model)
        wrapped.register_comm_hook(None, note)
        return wrapped

    store = FileStore(str(tmp_path / "meeting-point"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        context = WorkerContext(share=WorkerShare(), wrap_model=wrap, gather=WorkerContext.alone().gather)
        trials = tmp_path / "trials"
        result = run_trial(SPEC, ROWS, trials, attempt="1", submitted_at=0.0, backbone=backbone, context=context)
    finally:
        dist.destroy_process_group()
    assert result.status == "finished", result.error
    assert exchanged.count(0) == SPEC.recipe.num_steps
