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

from search.engine.interface import Resumed, first_undone
from search.engine.recorder import Recorder
from search.engine.trial_sources import TrialSource
from search.study.run_dir import RunDir, RunFile
from trainers.trial.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.executors.resources import TrialResources
    from trainers.rows.stored_rows import StoredRows


class NestedEngine:
    """One Tune run a phase, one Train run a trial.

    Args:
        recorder: writes results; knows what is done.
        run_dir: the study directory.
        rows: the study's shared rows.
        resources: of one trial.
        max_concurrent: trials at a time.
        on_running: told how many trials run, whenever that changes.
        label: what the dashboard shows before the phase and the name of a trial.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        run_dir: RunDir,
        rows: StoredRows,
        resources: TrialResources,
        max_concurrent: int,
        on_running: Callable[[int], None],
        label: str = "recombine",
    ) -> None:
        self._recorder = recorder
        self._run_dir = run_dir
        self._rows = rows
        self._resources = resources
        self._max_concurrent = max_concurrent
        self._on_running = on_running
        self._label = label

    def run(self, source: TrialSource) -> None:
        """Run all trials of a source that are not done yet."""
        from ray import tune

        from search.engine.nested_searcher import Bridge
        from trainers.executors.resources import proxy_bundle

        first = first_undone(source, self._recorder)
        if first is None:
            return
        name = f"tune-{uuid.uuid4().hex[:8]}"
        storage = self._run_dir / RunFile.cache / "tune"
        trainable = tune.with_parameters(
            _run_one, rows=self._rows, run_dir=str(self._run_dir), resources=self._resources, label=self._label
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, tune.PlacementGroupFactory([proxy_bundle(self._resources)])),
            tune_config=tune.TuneConfig(
                search_alg=Bridge(Resumed(first, source), self._recorder, on_running=self._on_running),
                num_samples=-1,
                max_concurrent_trials=self._max_concurrent,
                # Saves a process start a trial. Sound because every trial function returns by itself: a trial that
                # Tune stops in the middle of a nested `fit()` could not be reset.
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name=name, storage_path=str(storage), verbose=0),
        )
        tuner.fit()
        shutil.rmtree(storage / name, ignore_errors=True)

    def hand_over(self) -> None:
        """Nothing to do: a nested trial that is cut begins anew."""

    def close(self) -> None:
        """Nothing is held between two sources."""

    def wait_ended(self) -> None:
        """Nothing runs between two sources."""


def _run_one(config: dict[str, Any], *, rows: StoredRows, run_dir: str, resources: TrialResources, label: str) -> None:
    """Tune's function trainable: one nested trial."""
    from ray import tune

    from trainers.executors.nested import run_nested_trial

    spec = TrialSpec.model_validate(config["spec"])
    shown = f"{label}-{config['stage']}"
    result = run_nested_trial(spec, rows, Path(run_dir), resources, submitted_at=config["submitted_at"], label=shown)
    tune.report({"status": result.status, "train_id": result.train_id})
