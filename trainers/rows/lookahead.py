"""Samples that threads make ready while the model works on those before them."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.rows.feeds import Feed

# Samples that are ready or on their way before they are asked for: two micro-batches of eight. One of a megapixel takes
# some 12 MB as a processor leaves it.
AHEAD = 16


class Lookahead:
    """Takes samples of a feed in a known order; those that come next are prepared in threads.

    Decoding and most of what processors do to pixels let other threads run. A feed whose samples were encoded before
    has nothing to prepare, and is asked when they are needed.

    Args:
        feed: the samples.
        order: their places, in the order in which they will be taken.
        num_threads: that prepare.
    """

    def __init__(self, feed: Feed, order: Iterable[int], *, num_threads: int) -> None:
        self._feed = feed
        self._order = iter(order)
        self._num_threads = num_threads
        self._coming: deque[Future[list[Any]]] = deque()

    def take(self, num_samples: int) -> list[Any]:
        """Return the next samples.

        Raises:
            Exception: whatever the feed throws of one of them.
        """
        if not self._feed.is_prepared_late:
            return self._feed.take(islice(self._order, num_samples))
        self._ask(num_samples + max(AHEAD, num_samples))
        found: list[Any] = []
        for _ in range(min(num_samples, len(self._coming))):
            found += self._coming.popleft().result()
        return found

    def close(self) -> None:
        """Forget what was not taken."""
        while self._coming:
            self._coming.pop().cancel()
        self._order = iter(())

    def _ask(self, num_samples: int) -> None:
        threads = _threads(self._num_threads)
        for place in islice(self._order, max(0, num_samples - len(self._coming))):
            self._coming.append(threads.submit(self._feed.take, [place]))


@functools.cache
def _threads(number: int) -> ThreadPoolExecutor:
    """Those of this process: all feeds share them."""
    return ThreadPoolExecutor(number, thread_name_prefix="recombine-data")
