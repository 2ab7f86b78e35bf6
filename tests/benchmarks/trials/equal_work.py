"""The same fine-tunes by every side: trials per hour, and whether the answers are the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.trials.hf_search import run_hf_search
from tests.benchmarks.trials.workload import Side, encoded_blocks, nested_side, pooled_side, raw_rows, trial_spec
from trainers.trial.folder import read_outcomes

NUM_TRIALS, NUM_ROUNDS = 32, 2
# A round of the slow sides is a part of the fine-tunes: all 32 nested would take a quarter of an hour each.
NUM_NESTED, NUM_HF = 4, 6


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Seconds a trial of each side, alternating, two at a time; starts of slots and of Tune are not in its figures."""
    num_trials, num_rounds, num_nested, num_hf = (
        (4, 1, 2, 2) if is_quick else (NUM_TRIALS, NUM_ROUNDS, NUM_NESTED, NUM_HF)
    )
    raw, encoded = raw_rows(), encoded_blocks()
    seconds: dict[str, list[float]] = {"nested": [], "hf": [], "pooled": [], "pooled + packed": []}
    share = num_trials // num_rounds
    with nested_side(raw) as nested:
        with pooled_side(encoded) as pooled:
            pooled.run([trial_spec(1_000, num_steps=0, num_targets=0)])
            for part in range(num_rounds):
                specs = [trial_spec(i) for i in range(part * share, (part + 1) * share)]
                seconds["pooled"].append(_timed(pooled, specs))
            saved = {i: read_outcomes(_folder(pooled, i)) for i in range(num_rounds * num_nested)}
        with pooled_side(encoded, pack=4, name="pooled + packed") as packed:
            packed.run([trial_spec(1_000, num_steps=0, num_targets=0)])
            for part in range(num_rounds):
                specs = [trial_spec(i) for i in range(part * share, (part + 1) * share)]
                seconds["pooled + packed"].append(_timed(packed, specs))
            packed_outcomes = {i: read_outcomes(_folder(packed, i)) for i in saved}
        nested.run([trial_spec(1_000, num_steps=0, num_targets=0)])
        for part in range(num_rounds):  # the slots are gone: nested trials have both processors
            specs = [trial_spec(i) for i in range(part * num_nested, (part + 1) * num_nested)]
            seconds["nested"].append(_timed(nested, specs))
            with TemporaryDirectory(prefix="bench-") as folder:
                numbers = list(range(part * num_hf, (part + 1) * num_hf))
                started = time.monotonic()
                run_hf_search(numbers, Path(folder))
                seconds["hf"].append((time.monotonic() - started) / num_hf)
        equal = [read_outcomes(_folder(nested, i)).equals(saved[i]) for i in saved]
        equal_packed = [read_outcomes(_folder(nested, i)).equals(packed_outcomes[i]) for i in saved]
    for name, found in seconds.items():
        middle = statistics.median(found)
        say(
            f"{name}: {middle:.2f} s a trial ({min(found):.2f} to {max(found):.2f}), {3600 / middle:.0f} trials an hour"
        )
    best = min(statistics.median(seconds["pooled"]), statistics.median(seconds["pooled + packed"]))
    ratios = {side: statistics.median(seconds[side]) / best for side in ("nested", "hf")}
    spread = {side: (min(seconds[side]) / best, max(seconds[side]) / best) for side in ratios}
    for side, ratio in ratios.items():
        say(f"{side} / pooled (the faster of both): {ratio:.1f} ({spread[side][0]:.1f} to {spread[side][1]:.1f})")
    say(f"per-question outcomes equal to nested: pooled {sum(equal)} of {len(equal)}, packed {sum(equal_packed)}")
    return {
        "equal_work_ratio": {side: round(ratio, 2) for side, ratio in ratios.items()},
        "equal_work_s": {name: round(statistics.median(found), 2) for name, found in seconds.items()},
        "equal_outcomes": [sum(equal), sum(equal_packed), len(equal)],
    }


def _timed(side: Side, specs: list[Any]) -> float:
    started = time.monotonic()
    side.run(specs)
    return (time.monotonic() - started) / len(specs)


def _folder(side: Side, number: int) -> Path:
    return side.run_dir / "trials" / trial_spec(number).folder_name
