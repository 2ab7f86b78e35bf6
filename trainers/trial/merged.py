"""Merges of finished trials' adapters as trials whose weights exist: executors score them like any other."""

from collections.abc import Mapping
from pathlib import Path

from datasets_spec.canonical import content_hash
from trainers.backbone.merge_adapters import merge_adapters
from trainers.trial.folder import (
    ADAPTER_DIR,
    adapter_sha256,
    attempt_name,
    begin_attempt,
    commit_attempt,
    finished_result,
)
from trainers.trial.result import TrialResult
from trainers.trial.spec import TrialSpec


def merge_digest(weights: Mapping[str, float]) -> str:
    """Return what takes the place of the training rows in a merge's identity.

    Args:
        weights: of the merged trials' adapters, by `train_id`.
    """
    return content_hash({"merge": dict(weights)})


def write_merge(spec: TrialSpec, parts: Mapping[Path, float], trials_dir: Path) -> None:
    """Write the folder of a merge: an adapter and a result without scores; nothing if it is there already.

    Args:
        spec: of the merge; its `rows_digest` is a `merge_digest`.
        parts: weight of each adapter, by the trial folder that holds it.
        trials_dir: RUN/trials.

    Raises:
        UserError: the adapters have no exact merge.
    """
    final = trials_dir / spec.folder_name
    if finished_result(final, spec.train_id) is not None:
        return
    working = begin_attempt(trials_dir, spec.folder_name, attempt_name())
    merge_adapters([folder / ADAPTER_DIR for folder in parts], list(parts.values()), working / ADAPTER_DIR)
    result = TrialResult(
        train_id=spec.train_id,
        status="finished",
        num_train_samples=0,
        num_steps=0,
        train_s=0.0,
        startup_s=0.0,
        evaluations=(),
        adapter_sha256=adapter_sha256(working),
    )
    commit_attempt(working, final, result)
