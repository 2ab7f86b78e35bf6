"""How far a pass over the rows is: its rate and, where the number of rows is known, the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

# A line where lines stay: after a tenth of the rows or half a minute; sooner than five seconds it would only fill logs.
_LINE_SHARE, _LINE_S, _LINE_MIN_S = 0.1, 30.0, 5.0


class Progress:
    """Counts rows and tells how far they are.

    Args:
        doing: What is done with them, as a word in front: ``opened``.
        total: How many there are; None while nobody knows.
        tell: Told a line now and then, where nothing renews one.
        renew: Told what replaces its last text, with every count.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        doing: str,
        total: int | None,
        tell: Callable[[str], None],
        renew: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doing, self._total, self._tell, self._renew, self._clock = doing, total, tell, renew, clock
        self._num = self._num_told = 0
        self._start_s = self._told_s = clock()

    def add(self, num: int) -> None:
        """Counts rows that are done.

        Args:
            num: How many more.
        """
        self._num += num
        now_s = self._clock()
        if self._renew is not None:
            self._renew(self._text(now_s))
        elif self._is_due(now_s - self._told_s):
            self._tell(self._text(now_s))
            self._told_s, self._num_told = now_s, self._num

    def _is_due(self, since_s: float) -> bool:
        is_a_tenth = self._total is not None and self._num - self._num_told >= _LINE_SHARE * self._total
        return since_s >= _LINE_S or (since_s >= _LINE_MIN_S and is_a_tenth)

    def _text(self, now_s: float) -> str:
        rate = self._num / max(now_s - self._start_s, 1e-9)
        if self._total is None:
            return f"{self._doing} {self._num} rows, {rate:.0f} a second"
        left_s = round((self._total - self._num) / rate) if rate else 0
        share = 100 * self._num // max(self._total, 1)
        left = f"{left_s // 60} min {left_s % 60} s" if left_s >= 60 else f"{left_s} s"
        return f"{self._doing} {self._num} of {self._total} rows ({share} %), {rate:.0f} a second, {left} left"
