"""Real Tune starts one process for each pack that can be on its way, for a whole study."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from search.engine.pooled import PooledEngine
from search.engine.pooled_proxy import PackProxy
from search.engine.recorder import Recorder
from search.engine.trial_sources import ListSource
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.study.run_dir import RunDir
from tests.makers.study_fixture import finish_trial, make_factory, plan_trial
from trainers.executors.broker_actor import BrokerActor

pytestmark = pytest.mark.ray
NUM_SLOTS = 1


class CountingBroker(BrokerActor):
    """A broker that is told of every process that Tune starts."""

    def __init__(self) -> None:
        super().__init__()
        self._num_started = 0

    async def started(self) -> int:
        """Count one more."""
        self._num_started += 1
        return self._num_started


class CountedProxy(PackProxy):
    """A proxy that tells of its start."""

    def setup(self, config: dict[str, Any], broker: Any = None, num_proxies: int = 1) -> None:
        """As a proxy, counted."""
        broker.started.remote()
        super().setup(config, broker, num_proxies)


class Pool:
    """A slot that is a thread of this process, whose trials take no time."""

    spare_s = None

    def __init__(self, root: Path) -> None:
        import ray

        self.slots = [object()] * NUM_SLOTS
        self.broker = ray.remote(num_cpus=0)(CountingBroker).remote()
        self.planned: dict[str, Any] = {}
        self._root = root
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self) -> dict[str, Any]:
        return {"pack_size": 1}

    def check(self) -> None:
        pass

    def close(self) -> None:
        self.broker.close.remote()
        self._thread.join()

    def _work(self) -> None:
        import ray

        while (work := ray.get(self.broker.lease.remote("slot-0", "process", None))) != "close":
            for train_id in work.specs if work is not None else ():
                finish_trial(self._root / "run", self.planned[train_id])
                ray.get(self.broker.report.remote(work.ticket, {"train_id": train_id, "ended": "finished"}))
            if work is not None:
                ray.get(self.broker.finish.remote("slot-0", work, False))


@pytest.fixture
def pool(local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # as the command line
    monkeypatch.setattr("search.engine.pooled_proxy.PackProxy", CountedProxy)
    return Pool(tmp_path)


def test_as_many_processes_as_packs_on_their_way_for_all_phases(pool: Pool, tmp_path: Path) -> None:
    import ray

    factory = make_factory(tmp_path / "study")
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        engine = PooledEngine(
            Recorder(RunDir(tmp_path / "run"), ledger, lambda record: None),
            make_pool=lambda: pool,  # type: ignore[arg-type,return-value]
            run_dir=RunDir(tmp_path / "run"),
            pack=1,
            is_deterministic=False,
            on_rung=lambda planned, step, correct: True,
            on_running=lambda num_running: None,
            decide=lambda text: None,
        )
        try:
            for phase in range(3):
                trials = [plan_trial(factory, {"ct-lung": 4}, seed=10 * phase + i, arm=f"{phase}{i}") for i in range(4)]
                pool.planned.update((planned.spec.train_id, planned) for planned in trials)
                engine.run(ListSource(trials))
                time.sleep(0.5)  # nothing to do: Tune keeps one process without a trial, and ends the others
        finally:
            engine.close()
            engine.wait_ended()
        assert len(list(ledger.records(Kind.trial))) == 12
    assert ray.get(pool.broker.started.remote()) - 1 == NUM_SLOTS + 1
