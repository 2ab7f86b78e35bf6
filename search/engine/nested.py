"""The nested executor under Ray Tune: one Tune run for the whole study, one Ray Train run for each trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.engine.interface import Resumed, first_undone
from search.engine.recorder import Recorder
from search.engine.trial_sources import TrialSource
from search.study.run_dir import RunDir, RunFile
from trainers.trial.result import TrialResult
from trainers.trial.spec import TrialSpec

if TYPE_CHECKING:
    from search.engine.tune_run import TuneRun
    from trainers.executors.resources import TrialResources
    from trainers.rows.stored_rows import StoredRows


class NestedEngine:
    """Starts Tune with the first trial, and keeps it from phase to phase.

    Args:
        recorder: writes results; knows what is done.
        run_dir: the study directory.
        rows: the study's shared rows.
        resources: of one trial.
        max_concurrent: trials at a time.
        on_running: told how many trials run, whenever that changes.
        say: tells the user one line.
        label: what the dashboard shows before the phase and the name of a trial.
        nodes_go: whether idle nodes of the cluster go.
        other_versions: asked by every worker on its node; see `run_nested_trial`.
        run_trial: runs one; None for `run_nested_trial`.
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
        say: Callable[[str], None] = lambda line: None,
        label: str = "recombine",
        nodes_go: bool = False,
        other_versions: Callable[[], str | None] = lambda: None,
        run_trial: Callable[..., TrialResult] | None = None,
    ) -> None:
        self._recorder = recorder
        self._run_dir = run_dir
        self._rows = rows
        self._resources = resources
        self._max_concurrent = max_concurrent
        self._on_running = on_running
        self._say = say
        self._label = label
        self._nodes_go = nodes_go
        self._other_versions = other_versions
        self._run_trial = run_trial
        self._tune: TuneRun | None = None

    def run(self, source: TrialSource) -> None:
        """Run all trials of a source that are not done yet.

        Raises:
            EngineStoppedError: Tune ended by itself.
        """
        first = first_undone(source, self._recorder)
        if first is None:
            return
        self._tune = self._tune or self._start()
        self._tune.searcher.serve(Resumed(first, source), pack_size=1, is_alive=self._tune.check)

    def hand_over(self) -> None:
        """Hand out nothing more: a nested trial that is cut begins anew."""
        if self._tune is not None:
            self._tune.close()

    def close(self) -> None:
        """End Tune and free what its processes occupy; where trials still run after an error, nobody waits for them."""
        if self._tune is not None:
            self._tune.close()
            if self._tune.searcher.is_idle:
                self._tune.wait_ended()
            self._tune = None

    def wait_ended(self) -> None:
        """`close` has waited."""

    def _start(self) -> TuneRun:
        from ray import tune

        from search.engine.pack_searcher import PackSearcher
        from search.engine.tune_run import TuneRun
        from trainers.executors.nested import run_nested_trial
        from trainers.executors.resources import proxy_bundle

        max_lost = self._resources.max_failures + 1
        trainable = tune.with_parameters(
            _run_one,
            run=self._run_trial or run_nested_trial,
            rows=self._rows,
            run_dir=str(self._run_dir),
            resources=self._resources,
            label=self._label,
            nodes_go=self._nodes_go,
            other_versions=self._other_versions,
        )
        return TuneRun(
            searcher=PackSearcher(self._recorder, on_running=self._on_running, max_lost=max_lost, say=self._say),
            trainable=trainable,
            bundle=proxy_bundle(self._resources, nodes_go=self._nodes_go),
            max_packs=self._max_concurrent,
            storage=self._run_dir / RunFile.cache / "tune",
        )


def _run_one(
    config: dict[str, Any],
    *,
    run: Callable[..., TrialResult],
    rows: StoredRows,
    run_dir: str,
    resources: TrialResources,
    label: str,
    nodes_go: bool,
    other_versions: Callable[[], str | None],
) -> None:
    """Tune's function trainable: a pack of one nested trial."""
    from ray import tune

    from trainers.trial.failures import describe_error

    (spec,) = (TrialSpec.model_validate(dumped) for dumped in config["specs"].values())
    shown = f"{label}-{config['stage']}"
    event: dict[str, Any] = {"train_id": spec.train_id}

    def on_wait(words: str) -> None:
        tune.report({"status": "waiting", "events": [event | {"waits": words}]})

    try:
        result = run(
            spec,
            rows,
            Path(run_dir),
            resources,
            submitted_at=config["submitted_at"],
            label=shown,
            nodes_go=nodes_go,
            on_wait=on_wait,
            other_versions=other_versions,
        )
        event["ended"] = result.status
    except Exception as error:  # noqa: BLE001 - the process lives: its trial has failed, and would again
        event |= {"ended": "failed", "error": describe_error(error)}
    tune.report({"status": event["ended"], "events": [event]})
