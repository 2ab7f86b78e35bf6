"""How far a pass over rows or images is: its rate and, where their number is known, the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

# Where a line is renewed a bar stands in front.
_BAR_WIDTH = 20
# A line where lines stay: after a tenth of the rows or half a minute; sooner than five seconds it would only fill logs.
_LINE_SHARE, _LINE_S, _LINE_MIN_S = 0.1, 30.0, 5.0


class Progress:
    """Counts rows or images and tells how far they are.

    Args:
        doing: What is done with them, as a word in front: ``opened``.
        what: What they are: ``rows`` or ``images``.
        total: How many there are; None while nobody knows.
        tell: Told a line now and then, where nothing renews one.
        renew: Told what replaces its last text, with every count.
        clock: Seconds, from any start.

    Attributes:
        num: How many are done.
    """

    def __init__(
        self,
        doing: str,
        what: str,
        total: int | None,
        tell: Callable[[str], None],
        renew: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doing, self._what, self._total = doing, what, total
        self._tell, self._renew, self._clock = tell, renew, clock
        self.num = self._num_told = 0
        self._start_s = self._told_s = clock()

    def add(self, num: int) -> None:
        """Counts those that are done.

        Args:
            num: How many more.
        """
        self.num += num
        now_s = self._clock()
        if self._renew is not None:
            self._renew(self._text(now_s))
        elif self._is_due(now_s - self._told_s):
            self._tell(self._text(now_s))
            self._told_s, self._num_told = now_s, self.num

    def _is_due(self, since_s: float) -> bool:
        is_a_tenth = self._total is not None and self.num - self._num_told >= _LINE_SHARE * self._total
        return since_s >= _LINE_S or (since_s >= _LINE_MIN_S and is_a_tenth)

    def _text(self, now_s: float) -> str:
        rate = self.num / max(now_s - self._start_s, 1e-9)
        if self._total is None:
            return f"{self._doing} {self.num} {self._what}, {rate:.0f} a second"
        left_s = round((self._total - self.num) / rate) if rate else 0
        share = 100 * self.num // max(self._total, 1)
        bar = f"[{'=' * (share * _BAR_WIDTH // 100):<{_BAR_WIDTH}}] " if self._renew is not None else ""
        left = f"{left_s // 60} min {left_s % 60} s" if left_s >= 60 else f"{left_s} s"
        told = f"{self.num} of {self._total} {self._what} ({share} %), {rate:.0f} a second, {left} left"
        return f"{bar}{self._doing} {told}"
