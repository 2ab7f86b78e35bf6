"""Scores weights that exist on further questions: one process loads the backbone once and takes adapter by adapter."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.executors.kept_memory import keep_freed_memory
from trainers.executors.resources import TrialResources, task_options
from trainers.rows.stored_rows import StoredRows
from trainers.trial.folder import TRIALS_DIR, attempt_name, finished_result
from trainers.trial.result import TrialResult
from trainers.trial.spec import TrialSpec


def rescore_trials(
    specs: Sequence[TrialSpec], rows: StoredRows, run_dir: Path, slots: Sequence[TrialResources]
) -> list[TrialResult]:
    """Add the missing scores of trained trials, in one Ray task a slot; nothing is trained.

    Args:
        specs: trials whose folders hold finished weights, of one backbone.
        rows: rows of every requested evaluation set.
        run_dir: the study directory.
        slots: what each task occupies; they share the trials, and each loads the backbone.

    Raises:
        RecombineError: a trial's weights are missing or damaged.
    """
    import ray

    for spec in specs:
        if finished_result(run_dir / TRIALS_DIR / spec.folder_name, spec.train_id) is None:
            raise RecombineError(
                f"the weights of trial {spec.folder_name} are missing or damaged; they cannot be scored"
            )
    dumped = [spec.model_dump(mode="json") for spec in specs]
    running = [
        ray.remote(**task_options(slot))(_score_each).remote(share, rows, str(run_dir), slot.num_threads)
        for number, slot in enumerate(slots)
        if (share := dumped[number :: len(slots)])
    ]
    return [TrialResult.model_validate(result) for found in ray.get(running) for result in found]


def _score_each(
    dumped: Sequence[dict[str, Any]], rows: StoredRows, run_dir: str, num_threads: int
) -> list[dict[str, Any]]:
    import torch

    from trainers.backbone.backbone import load_backbone
    from trainers.executors.one_trial import run_trial

    keep_freed_memory()
    torch.set_num_threads(num_threads)
    specs = [TrialSpec.model_validate(d) for d in dumped]
    backbone = load_backbone(specs[0].backbone)
    results = [
        run_trial(
            spec,
            rows,
            Path(run_dir) / TRIALS_DIR,
            attempt=attempt_name(),
            submitted_at=time.time(),
            backbone=backbone,
        )
        for spec in specs
    ]
    return [result.model_dump(mode="json") for result in results]
