"""Ray Tune as the engine: it schedules trials and holds their processes; it decides nothing and remembers nothing.

Tune's own state is a cache that may be deleted at any time: its `restore` loses and repeats finished trials after
`kill -9` and starts afresh from a cut file. What a study knows is in the ledger and in RUN/trials.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.recording import Recorder
from search.source import TrialSource
from search.trials import PlannedTrial
from trainers.trial import TrialSpec

if TYPE_CHECKING:
    from trainers.executors.nested import TrialResources
    from trainers.row_blocks import RowBlocks


def run_trials(
    source: TrialSource,
    recorder: Recorder,
    *,
    run_dir: Path,
    rows: RowBlocks,
    resources: TrialResources,
    max_concurrent: int,
    should_stop: Callable[[], bool] = lambda: False,
    on_running: Callable[[int], None] = lambda num_trials: None,
) -> None:
    """Run all trials of a source that are not done yet, `max_concurrent` at a time.

    Args:
        source: hands out trials.
        recorder: writes their results; knows what is done.
        run_dir: the study directory.
        rows: the study's shared rows.
        resources: of one trial.
        max_concurrent: trials at a time.
        should_stop: asked before every trial; True lets running trials end and starts no more.
        on_running: told how many trials run, whenever that changes.
    """
    from ray import tune

    from search.tune_bridge import Bridge
    from trainers.executors.nested import proxy_bundle

    first = _first_undone(source, recorder)
    if first is None:
        return
    name = f"tune-{uuid.uuid4().hex[:8]}"
    storage = run_dir / "cache" / "tune"
    trainable = tune.with_parameters(_run_one, rows=rows, run_dir=str(run_dir), resources=resources)
    tuner = tune.Tuner(
        tune.with_resources(trainable, tune.PlacementGroupFactory([proxy_bundle(resources)])),
        tune_config=tune.TuneConfig(
            search_alg=Bridge(source, recorder, first=first, should_stop=should_stop, on_running=on_running),
            num_samples=-1,
            max_concurrent_trials=max_concurrent,
            # Saves a process start a trial. Sound because every trial function returns by itself: a trial that Tune
            # stops in the middle of a nested `fit()` could not be reset.
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name=name, storage_path=str(storage), verbose=0),
    )
    tuner.fit()
    shutil.rmtree(storage / name, ignore_errors=True)


def _first_undone(source: TrialSource, recorder: Recorder) -> PlannedTrial | None:
    """Return the first trial that needs a run; starting Tune for none would cost seconds."""
    while True:
        planned = source.next_trial()
        if planned is None:
            return None
        if not isinstance(planned, PlannedTrial):  # nothing runs yet, so nothing could end the wait
            raise RuntimeError("a trial source waits although nothing is running")
        if not recorder.is_done(planned):
            return planned


def _run_one(config: dict[str, Any], *, rows: RowBlocks, run_dir: str, resources: TrialResources) -> None:
    """Tune's function trainable: one nested trial."""
    from ray import tune

    from trainers.executors.nested import run_nested_trial

    spec = TrialSpec.model_validate(config["spec"])
    result = run_nested_trial(spec, rows, Path(run_dir), resources, submitted_at=config["submitted_at"])
    tune.report({"status": result.status, "train_id": result.train_id})
