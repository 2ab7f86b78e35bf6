"""What a trial costs that does nothing: nested, as a plain Tune trial, pooled."""

from __future__ import annotations

import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.trials.workload import encoded_blocks, nested_side, pooled_side, raw_rows, trial_spec

PACKS = (1, 8)  # trials of one ticket: what Tune costs is paid once for each


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Seconds a trial, two at a time, Tune's own start included; the pool's start is told apart."""
    num_nested, num_plain, num_pooled = (2, 4, 4) if is_quick else (4, 16, 32)
    nothing = [trial_spec(i, num_steps=0, num_targets=0) for i in range(num_pooled)]
    with nested_side(raw_rows()) as side:
        started = time.monotonic()
        side.run(nothing[:num_nested])
        nested_s = (time.monotonic() - started) / num_nested
    say(f"nested: {nested_s:.2f} s a trial ({num_nested} trials)")
    plain_s = _plain_tune(num_plain)
    say(f"plain Tune trial, process reused: {plain_s:.2f} s a trial ({num_plain} trials)")
    pooled: dict[int, tuple[float, float]] = {}
    encoded = encoded_blocks()
    for pack in PACKS:
        with pooled_side(encoded, pack=pack) as side:
            started = time.monotonic()
            side.run([trial_spec(1_000, num_steps=0, num_targets=0)])
            start_s = time.monotonic() - started
            started = time.monotonic()
            side.run(nothing)
            pooled[pack] = (time.monotonic() - started) / num_pooled, start_s
        trial_s, start_s = pooled[pack]
        say(f"pooled, packs of {pack}: {trial_s:.3f} s a trial ({num_pooled} trials), and {start_s:.1f} s once for two "
            f"slots and Tune; nested / pooled {nested_s / trial_s:.0f}")  # fmt: skip
    best = min(trial_s for trial_s, _ in pooled.values())
    return {
        "startup_s": {
            "nested": round(nested_s, 2),
            "tune": round(plain_s, 2),
            "pooled": round(best, 3),
            **{f"pooled_packs_of_{pack}": round(trial_s, 3) for pack, (trial_s, _) in pooled.items()},
        },
        "startup_ratio": round(nested_s / best, 1),
        "pool_start_s": round(max(start_s for _, start_s in pooled.values()), 1),
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
