"""The pooled executor under Ray Tune: one Tune run for the whole study, whose trials are packs leased to slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.engine.interface import Resumed, first_undone
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import StrategySource, TrialSource
from search.study.run_dir import RunDir, RunFile

if TYPE_CHECKING:
    from search.engine.lasting_searcher import LastingSearcher
    from search.engine.tune_run import TuneRun
    from trainers.executors.pool import SlotPool

# A strategy learns from results: at most this share of its trials may be on their way at once, packs included.
IN_FLIGHT_SHARE = 0.25


class PooledEngine:
    """Starts slots and Tune with the first trial, and keeps both from phase to phase.

    Args:
        recorder: writes results; knows what is done.
        make_pool: returns a pool that has not been started.
        run_dir: the study directory.
        pack: trials of a pack, or None for what the first slot measures as fastest.
        is_deterministic: packs of a strategy's trials do not depend on what was measured.
        on_rung: told of a trial's outcomes at a rung; returns whether it goes on.
        on_running: told how many trials are on their way, whenever that changes.
        decide: tells the user an automatic decision, and keeps it.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        make_pool: Callable[[], SlotPool],
        run_dir: RunDir,
        pack: int | None,
        is_deterministic: bool,
        on_rung: Callable[[PlannedTrial, int, Mapping[str, str]], bool],
        on_running: Callable[[int], None],
        decide: Callable[[str], None],
    ) -> None:
        self._recorder = recorder
        self._make_pool = make_pool
        self._run_dir = run_dir
        self._pack = pack
        self._is_deterministic = is_deterministic
        self._on_rung = on_rung
        self._on_running = on_running
        self._decide = decide
        self._running: _Running | None = None
        self._ending: list[TuneRun] = []

    def run(self, source: TrialSource) -> None:
        """Run all trials of a source that are not done yet.

        Raises:
            UserError: no slot can work.
            EngineStoppedError: Tune ended by itself.
        """
        first = first_undone(source, self._recorder)
        if first is None:
            return
        running = self._running or self._start()
        pack_size = self._pack_size(source, running)
        running.tune.searcher.serve(Resumed(first, source), pack_size=pack_size, is_alive=running.check)

    def hand_over(self) -> None:
        """Let the slots save the trials that they hold."""
        if self._running is not None:
            self._running.pool.hand_over()

    def close(self) -> None:
        """End Tune and the slots, and free their resources."""
        running, self._running = self._running, None
        if running is not None:
            running.tune.close()  # its processes hold no processor
            running.pool.close()
            self._ending.append(running.tune)

    def wait_ended(self) -> None:
        """Wait for Tune: the connection must not go before it."""
        for tune_run in self._ending:
            tune_run.wait_ended()

    def _pack_size(self, source: TrialSource, running: _Running) -> int:
        if not isinstance(source, StrategySource):
            return running.pack_size
        if self._is_deterministic:
            return self._pack or 1
        fair = int(IN_FLIGHT_SHARE * source.num_trials / (len(running.pool.slots) + 1))
        return min(running.pack_size, max(1, fair))

    def _start(self) -> _Running:
        from ray import tune

        from search.engine.pooled_proxy import PackProxy
        from search.engine.tune_run import TuneRun
        from trainers.executors.resources import NEXT_TO_NOTHING, OF_THE_HEAD

        pool = self._make_pool()
        pool.start()
        num_proxies = len(pool.slots) + 1  # one waits at the broker, so that no slot has to wait for Tune
        searcher = self._searcher(pool, num_proxies)
        tune_run = TuneRun(
            searcher=searcher,
            trainable=tune.with_parameters(PackProxy, broker=pool.broker, num_proxies=num_proxies),
            bundle=NEXT_TO_NOTHING if pool.spare_s is None else OF_THE_HEAD,
            max_packs=num_proxies,
            storage=self._run_dir / RunFile.cache / "tune",
            stop=searcher.may_end,
        )
        self._running = running = _Running(pool=pool, tune=tune_run)  # from here on `close` ends it
        about = pool.wait_ready()
        running.pack_size = self._pack or int(about["pack_size"])
        self._decide(_pack_decision(self._pack, about))
        return running

    def _searcher(self, pool: SlotPool, max_packs: int) -> LastingSearcher:
        import ray

        from search.engine.lasting_searcher import LastingSearcher
        from trainers.training.packed_loop import pack_shape

        def tell(train_id: str, step: int, goes_on: bool) -> None:
            ray.get(pool.broker.decide.remote(train_id, step, goes_on))

        return LastingSearcher(
            self._recorder,
            max_packs=max_packs,
            on_running=self._on_running,
            pack_shape=lambda planned: (*pack_shape(planned.spec.recipe), bool(planned.spec.composition)),
            on_rung=self._on_rung,
            tell=tell,
        )


@dataclass(kw_only=True)
class _Running:
    """A started pool and its Tune run."""

    pool: SlotPool
    tune: TuneRun
    pack_size: int = 1

    def check(self) -> None:
        """Raise what ended Tune or all slots."""
        self.tune.check()
        self.pool.check()


def _pack_decision(asked: int | None, about: Mapping[str, Any]) -> str:
    if asked is not None:
        return f"packs of {asked} trials (asked for)"
    measured = ", ".join(f"{size}: {1000 * s:.0f} ms" for size, s in about.get("step_s", {}).items())
    when = "measured before, on a device like this one" if about.get("is_remembered") else "measured"
    why = f"{when}: a step of one trial takes, by pack size, {measured}" if measured else "packing is off"
    return f"packs of {about['pack_size']} trial(s) ({why})"
