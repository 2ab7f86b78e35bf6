"""What Tune asks of the nested executor's searcher."""

from __future__ import annotations

import queue
from typing import Any

from ray import cloudpickle

from search.engine.nested_searcher import Bridge
from search.engine.trial_sources import ListSource


def test_tune_can_write_it_down_whatever_listens_to_the_study() -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    recorder: Any = waiting  # a recorder whose listener holds a thread's queue
    cloudpickle.dumps(Bridge(ListSource([]), recorder, on_running=waiting.put))
