"""Several real processes of one trial that exchange gradients by gloo, without a Ray around them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

PEER_TIMEOUT_S = 120  # a worker that waits so long for another one has been forgotten


def run_workers(function: Callable[..., Any], num_workers: int, folder: Path, *args: Any) -> list[str]:
    """Run `function(rank, num_workers, folder, *args)` in every worker of a process group.

    Returns:
        how each worker ended, by rank: "ended", or the type and words of its error.
    """
    import torch.multiprocessing as mp

    folder.mkdir(parents=True, exist_ok=True)
    context = mp.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(function, rank, num_workers, folder, args)) for rank in range(num_workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    ends = [folder / f"end-{rank}" for rank in range(num_workers)]
    return [end.read_text() if end.is_file() else "died" for end in ends]


def _work(function: Callable[..., Any], rank: int, num_workers: int, folder: Path, args: tuple[Any, ...]) -> None:
    import torch
    import torch.distributed as dist
    from torch._C._distributed_c10d import FileStore  # what torch.distributed has under this name, not exported to mypy

    torch.set_num_threads(1)
    store = FileStore(str(folder / "meeting-point"), num_workers)
    timeout = timedelta(seconds=PEER_TIMEOUT_S)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=num_workers, timeout=timeout)
    try:
        function(rank, num_workers, folder, *args)
        end = "ended"
    except Exception as error:  # noqa: BLE001 - told to the test
        end = f"{type(error).__name__}: {error}"
    (folder / f"end-{rank}").write_text(end)
