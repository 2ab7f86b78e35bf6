"""What a trial costs that does nothing: nested, as a plain Tune trial, pooled."""

from __future__ import annotations

import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.trials.workload import encoded_blocks, nested_side, pooled_side, raw_blocks, trial_spec


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Seconds a trial, two at a time, Tune's own start included; the pool's start is told apart."""
    num_nested, num_plain, num_pooled = (2, 4, 4) if is_quick else (4, 16, 32)
    nothing = [trial_spec(i, num_steps=0, num_targets=0) for i in range(num_pooled)]
    with nested_side(raw_blocks()) as side:
        started = time.monotonic()
        side.run(nothing[:num_nested])
        nested_s = (time.monotonic() - started) / num_nested
    say(f"nested: {nested_s:.2f} s a trial ({num_nested} trials)")
    plain_s = _plain_tune(num_plain)
    say(f"plain Tune trial, process reused: {plain_s:.2f} s a trial ({num_plain} trials)")
    with pooled_side(encoded_blocks()) as side:
        started = time.monotonic()
        side.run([trial_spec(1_000, num_steps=0, num_targets=0)])
        start_s = time.monotonic() - started
        started = time.monotonic()
        side.run(nothing)
        pooled_s = (time.monotonic() - started) / num_pooled
    say(f"pooled: {pooled_s:.2f} s a trial ({num_pooled} trials), and {start_s:.1f} s once for two slots and Tune")
    ratio = nested_s / pooled_s
    say(f"nested / pooled: {ratio:.0f}")
    return {
        "startup_s": {"nested": round(nested_s, 2), "tune": round(plain_s, 2), "pooled": round(pooled_s, 3)},
        "startup_ratio": round(ratio, 1),
        "pool_start_s": round(start_s, 1),
    }


def _plain_tune(num_trials: int) -> float:
    from ray import tune

    def nothing(config: dict[str, Any]) -> None:
        tune.report({"status": 1})

    with TemporaryDirectory(prefix="bench-") as folder:
        started = time.monotonic()
        tune.Tuner(
            tune.with_resources(nothing, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(num_trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        return (time.monotonic() - started) / num_trials
