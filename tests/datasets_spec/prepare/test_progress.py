from __future__ import annotations

from datasets_spec.prepare.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def told(total: int | None, steps: list[tuple[float, int]], *, renewed: bool = False) -> list[str]:
    lines: list[str] = []
    clock = Clock()
    unused: list[str] = []
    tell, renew = (unused.append, lines.append) if renewed else (lines.append, None)
    progress = Progress("stored", "rows", total, tell, renew, clock=clock)
    for seconds, num in steps:
        clock.now_s += seconds
        progress.add(num)
    assert not unused
    return lines


def test_a_line_comes_after_a_tenth_or_half_a_minute() -> None:
    assert told(1000, [(1, 50)] * 20) == [
        "stored 250 of 1000 rows (25 %), 50 a second, 15 s left",
        "stored 500 of 1000 rows (50 %), 50 a second, 10 s left",
        "stored 750 of 1000 rows (75 %), 50 a second, 5 s left",
        "stored 1000 of 1000 rows (100 %), 50 a second, 0 s left",
    ]
    assert told(9000, [(31, 62), (10, 20)]) == ["stored 62 of 9000 rows (0 %), 2 a second, 74 min 29 s left"]


def test_nothing_is_said_of_what_takes_a_moment() -> None:
    assert told(1000, [(0.4, 100)] * 10) == []


def test_without_a_total_there_is_a_rate_and_no_time_left() -> None:
    assert told(None, [(10, 100)] * 4) == ["stored 300 rows, 10 a second"]


def test_a_line_that_renews_itself_has_every_count() -> None:
    assert told(4, [(1, 2), (1, 2)], renewed=True) == [
        "[==========          ] stored 2 of 4 rows (50 %), 2 a second, 1 s left",
        "[====================] stored 4 of 4 rows (100 %), 2 a second, 0 s left",
    ]
    bar = f"[{'':20}]"
    assert told(0, [(0, 0)], renewed=True) == [f"{bar} stored 0 of 0 rows (0 %), 0 a second, 0 s left"]
