"""The GPU script runs to its end on a CPU, at toy size, and says in one line what it found."""

from __future__ import annotations

import json

from tests.benchmarks.gpu.__main__ import main, settings
from tests.benchmarks.gpu.shapes import TOY


def test_the_last_line_holds_every_run() -> None:
    lines: list[str] = []
    main(["--toy"], lines.append)
    found = json.loads(lines[-1])
    assert "\n" not in lines[-1]
    assert len(found["runs"]) == len(TOY) * len(settings(is_toy=True))
    assert not found["left_out"]
    for run in found["runs"]:
        assert {"tokens_a_s", "share_of_matmul_rate", "peak_gib", "estimated_gib"} <= set(run)
        assert run["tokens_a_s"] > 0
        assert run["estimated_gib"] >= 0
    assert {run["with_features"] for run in found["runs"]} == {True, False}
    assert {"waiting_ahead", "waiting_when_asked"} <= set(found["feeding"])
    assert {run["num_packed"] for run in found["runs"]} == {1, 2}
