"""Ray's own start, tried once more where a busy machine made it too slow."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

# What Ray 2.60 says when its node has not registered 30 s after its processes were started; the 30 s cannot be set.
TIMED_OUT = "timed out during startup"
TRIED_AGAIN = "Ray: its first start timed out, as happens on a busy machine; it was started once more."
_Started = TypeVar("_Started")


def start_with_one_retry(
    start: Callable[[], _Started], *, clean_up: Callable[[Exception], None], say: Callable[[str], None]
) -> _Started:
    """Return what `start` returns; call it a second time if Ray's node timed out, after `clean_up` of the first.

    Any other failure, and a second one, is raised as it is.
    """
    try:
        return start()
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
        clean_up(error)
        say(TRIED_AGAIN)
    return start()


def init_ray(say: Callable[[str], None], **options: Any) -> None:
    """Start Ray's processes on this machine by `ray.init(**options)`, with one retry that `say` is told of."""
    import ray

    start_with_one_retry(lambda: ray.init(**options), clean_up=_end_half_started, say=say)


def _end_half_started(error: Exception) -> None:
    """End a failed node's processes: Ray keeps them until this process ends, beside the next try.

    The node failed in its constructor, so nothing but the traceback knows it.
    """
    import psutil  # type: ignore[import-untyped]  # Ray brings its own copy
    import ray
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            # Ray ends what it started itself; an agent that has just been started does not yet watch its parent.
            pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
            started = [child for pid in pids for child in _descendants(pid)]
            node.kill_all_processes(check_alive=False, allow_graceful=False)
            for process in started:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            break
    ray.shutdown()


def _descendants(pid: int) -> list[Any]:
    import psutil

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []
