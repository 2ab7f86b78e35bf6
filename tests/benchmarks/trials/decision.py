"""How long until the composition that a full search selects is selected: nested without early stopping, pooled with it.

The candidates are trained to the end once, pooled: both executors give the same scores (equal_work counts that), so
the full search's choice is known, and its time is the candidates times the nested seconds measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from search.engine.rungs import decide
from search.study.spec import EarlyStoppingSection
from tests.benchmarks.trials.workload import encoded_blocks, nested_side, pooled_side, raw_rows, trial_spec
from trainers.trial.folder import read_result

NUM_CANDIDATES, NUM_TARGETS, RUNGS = 48, 2, (8, 20, 40)


class Rungs:
    """Decides as a study does, from what was at the rung before."""

    def __init__(self) -> None:
        self.seen: dict[int, list[Mapping[str, str]]] = {}
        # The rule reads nothing of a study but this section.
        self.spec: Any = type("Spec", (), {"early_stopping": EarlyStoppingSection(enabled=True)})()

    def __call__(self, planned: Any, step: int, correct: Mapping[str, str]) -> bool:
        others = self.seen.setdefault(step, [])
        found = decide(correct, others, self.spec)
        others.append(dict(correct))
        return found.goes_on


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """The ratio of both times, and the regret in points of accuracy."""
    num = 6 if is_quick else NUM_CANDIDATES
    whole = [trial_spec(i, num_targets=NUM_TARGETS) for i in range(num)]
    hurried = [spec.model_copy(update={"rungs": RUNGS}) for spec in whole]
    encoded = encoded_blocks()
    with pooled_side(encoded, pack=None, on_rung=Rungs()) as early:
        started = time.monotonic()
        early.run(hurried)
        early_s = time.monotonic() - started
        ended = [read_result(early.run_dir / "trials" / spec.folder_name) for spec in hurried]
        scores = {i: _mean(r) for i, r in enumerate(ended) if r.status == "finished"}
        num_steps = sum(r.num_steps for r in ended)
    with pooled_side(encoded, pack=None) as full:
        started = time.monotonic()
        full.run(whole)
        full_s = time.monotonic() - started
        truth = {i: _mean(read_result(full.run_dir / "trials" / spec.folder_name)) for i, spec in enumerate(whole)}
    with nested_side(raw_rows()) as nested:
        started = time.monotonic()
        nested.run(whole[:4])
        nested_s = (time.monotonic() - started) / 4
    chosen, best = max(scores, key=lambda i: scores[i]), max(truth, key=lambda i: truth[i])
    regret = 100 * (truth[best] - truth[chosen])
    ratio = num * nested_s / early_s
    say(f"full search of {num} candidates: nested {num * nested_s:.0f} s ({nested_s:.1f} s a trial, measured on 4), "
        f"pooled {full_s:.0f} s, slots' start included")  # fmt: skip
    say(f"pooled with early stopping: {early_s:.0f} s, slots' start included; {len(scores)} of {num} went to the end, "
        f"{num_steps / (80 * num):.0%} of the steps made")  # fmt: skip
    say(f"the full search selects candidate {best} ({truth[best]:.1%}), early stopping {chosen} ({truth[chosen]:.1%}): "
        f"regret {regret:.2f} points; {ratio:.1f} times faster")  # fmt: skip
    return {"same_decision_ratio": round(ratio, 1), "same_decision_regret": round(regret, 2)}


def _mean(result: Any) -> float:
    return float(sum(e.accuracy for e in result.evaluations) / len(result.evaluations))
