"""When a search would end: where nothing differs early, and the figures are those of the courses."""

from __future__ import annotations

import pytest

from search.bench.replay.stopping import FLOORS, _Course, null_course, summarise_stopping

NAN = float("nan")


def test_a_world_without_a_difference_promises_little() -> None:
    course = null_course(0)  # eight sources, one target
    gains = [gain for gain in course.gains if gain is not None]
    assert len(gains) == 32 - 24  # after the opening
    assert gains[-1] < gains[0] < 2
    assert course.stop(max(FLOORS)) is not None


def test_a_floor_is_charged_with_the_regret_at_its_stop() -> None:
    null = [_Course(gains=(None, 0.12, 0.05)), _Course(gains=(None, 0.5, 0.5))]
    tables = [
        _Course(gains=(None, 0.25, 0.12, 0.05), regrets=(NAN, 4.0, 3.0, 2.0, 1.0)),
        _Course(gains=(None, 0.9, 0.9, 0.9), regrets=(NAN, NAN, NAN, NAN, 1.0)),
    ]
    found = {figure.floor: figure for figure in summarise_stopping(null, tables)}
    assert [found[floor].null_stopped for floor in (0.1, 0.15, 0.3)] == [0.5, 0.5, 0.5]
    assert [found[floor].trials for floor in (0.1, 0.15, 0.3)] == [3.5, 3.0, 2.5]
    assert [found[floor].added for floor in (0.1, 0.15, 0.3)] == pytest.approx([0.5, 1.0, 1.5])
    assert summarise_stopping(null, [])[0].added is None
