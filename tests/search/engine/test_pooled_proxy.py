"""A pack's proxy asks for its trials once, whatever processes Tune starts for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytestmark = pytest.mark.ray
CONFIG = {"ticket": "a ticket", "specs": {"one": {"seed": 0}}, "submitted_at": 0.0, "timeout_s": None}


@pytest.fixture
def broker(local_ray: None) -> Any:
    import ray

    from trainers.executors.broker_actor import BrokerActor

    return ray.remote(num_cpus=0)(BrokerActor).remote()


def make_proxy(broker: Any) -> Any:
    from ray import tune

    from search.engine.pooled_proxy import PackProxy

    return tune.with_parameters(PackProxy, broker=broker)(config=dict(CONFIG))


def test_a_process_that_tune_started_and_dropped_asks_for_nothing(broker: Any) -> None:
    import ray

    told: list[dict[str, Any]] = []
    proxy = make_proxy(broker)
    waiting = threading.Thread(target=lambda: told.append(proxy.step()))
    waiting.start()
    work = None
    while work is None:
        work = ray.get(broker.lease.remote("slot-0", "process", None))
    ray.get(broker.report.remote(work.ticket, {"train_id": "one", "ended": "finished"}))
    ray.get(broker.finish.remote("slot-0", work, False))
    waiting.join(timeout=60)
    assert [(news["events"], news["is_over"]) for news in told] == [([{"train_id": "one", "ended": "finished"}], False)]
    assert proxy.step()["is_over"]
    make_proxy(broker)  # Tune asked for it before a free process took the trial; it is ready only now
    assert ray.get(broker.state.remote())["num_waiting"] == 0
