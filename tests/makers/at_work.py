"""A slot with a trial, or a trial of two workers, that stay at work on a cluster until this process is killed.

`python -m tests.makers.at_work slot|two-workers ADDRESS FOLDER` prints the port of Ray's metrics; each process of the
trial then writes its number into the folder.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_pool import BACKBONE, spec, submit
from trainers.executors.nested import run_nested_trial
from trainers.executors.pool import SlotPool
from trainers.executors.resources import TrialResources
from trainers.executors.slot import SlotConfig


@dataclass(frozen=True, kw_only=True)
class WaitingRows(TableRows):
    """Rows that never come, and note which processes wait for them."""

    folder: Path

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        (self.folder / f"{os.getpid()}.pid").touch()
        threading.Event().wait()


def serve(rows: WaitingRows, folder: Path) -> None:
    """Give a slot a trial."""

    def make_config(name: str, broker: Any) -> SlotConfig:
        return SlotConfig(
            name=name, broker=broker, backbone=BACKBONE, rows=rows, run_dir=folder, num_threads=1, measure=None,
            max_pack=1, checkpoint_s=60.0,
        )  # fmt: skip

    pool = SlotPool(slots=[TrialResources()], make_config=make_config, storage=str(folder / "cache"), say=print)
    pool.start()
    submit(pool, [spec(0)])
    threading.Event().wait()


def main(kind: str, address: str, folder: Path) -> None:
    """Join the cluster and go to work."""
    import ray

    ray.init(address=address, logging_level="error")
    sys.stdout.write(f"{ray.nodes()[0]['MetricsExportPort']}\n")
    sys.stdout.flush()
    rows = WaitingRows(tables={}, folder=folder)
    if kind == "slot":
        serve(rows, folder)
    run_nested_trial(
        spec(0), rows, folder, TrialResources(num_workers=2, cpus_per_worker=0.5), submitted_at=time.time()
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
