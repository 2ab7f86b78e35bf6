"""The nested executor under Ray Tune: one Tune run for the whole study, one Ray Train run for each trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from search.engine.interface import Resumed, first_undone
from search.engine.recorder import Recorder
from search.engine.trial_sources import TrialSource
from search.study.run_dir import RunDir, RunFile

if TYPE_CHECKING:
    from search.engine.tune_run import TuneRun
    from trainers.executors.resources import TrialResources
    from trainers.rows.stored_rows import StoredRows


class NestedEngine:
    """Starts Tune with the first trial, and keeps its processes from phase to phase.

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
        self._tune: TuneRun | None = None

    def run(self, source: TrialSource) -> None:
        """Run all trials of a source that are not done yet.

        Raises:
            UserError: no process can start.
            EngineStoppedError: Tune ended by itself.
        """
        first = first_undone(source, self._recorder)
        if first is None:
            return
        self._tune = self._tune or self._start()
        self._tune.searcher.serve(Resumed(first, source), pack_size=1, is_alive=self._tune.check)

    def hand_over(self) -> None:
        """Nothing to do: a nested trial that is cut begins anew."""

    def close(self) -> None:
        """End Tune and free what its processes occupy: in local mode that is what a trial does."""
        if self._tune is not None:
            self._tune.close()
            self._tune.wait_ended()
            self._tune = None

    def wait_ended(self) -> None:
        """`close` has waited."""

    def _start(self) -> TuneRun:
        from search.engine.nested_trials import NestedTrials
        from search.engine.pack_searcher import PackSearcher
        from search.engine.tune_run import TuneRun
        from trainers.executors.resources import proxy_bundle

        searcher = PackSearcher(self._recorder, max_packs=self._max_concurrent, on_running=self._on_running)
        return TuneRun(
            searcher=searcher,
            process=NestedTrials,
            parameters={
                "rows": self._rows,
                "run_dir": str(self._run_dir),
                "resources": self._resources,
                "label": self._label,
            },
            bundle=proxy_bundle(self._resources),
            num_processes=self._max_concurrent,
            storage=self._run_dir / RunFile.cache / "tune",
        )
