"""A study over 53 subsets of 20,000 rows that show 2,000 images of 200 KB: two trials on two cores, without a wall."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.makers.scale_run import run_at_scale

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.usefixtures("local_ray")]
MOST_DRIVER_GIB = 2.0


def test_two_trials_over_a_million_rows(tmp_path: Path) -> None:
    ran = run_at_scale(tmp_path, num_rows=20_000)
    print("\n".join(ran.said), f"driver grew by {ran.grown_gib:.2f} GiB")  # noqa: T201 - the slow tier is read
    assert [trial["status"] for trial in ran.trials] == ["finished"] * 3  # with the backbone untrained
    assert any(line.startswith("vision features: by every trial") for line in ran.said)  # they would not have fitted
    assert ran.grown_gib < MOST_DRIVER_GIB
