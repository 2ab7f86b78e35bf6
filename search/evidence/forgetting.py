"""Forgetting: what a selection costs on questions that the backbone answered well before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.evidence.outcomes import Outcomes
from search.ledger.records import Record, of_arm
from search.seeds import derived_seed
from search.statistics.bootstrap import paired_difference
from search.statistics.judgement import judge
from search.statistics.simultaneous import Family
from search.statistics.verdicts import ALPHA, Verdict
from search.vocabulary import Stage


def compute_retained(
    trials: Sequence[Record],
    outcomes: Outcomes,
    chosen: str,
    retained: Sequence[str],
    *,
    num_choices: int = 1,
    seed: int,
    alpha: float = ALPHA,
) -> list[dict[str, Any]]:
    """The selection minus the untrained backbone on each retained evaluation set, on `confirm`, judged together.

    Args:
        trials: the ledger's trial records.
        outcomes: their per-question outcomes.
        chosen: arm of the selection.
        retained: evaluation sets.
        num_choices: among how many finalists it was chosen, where the choice looked at these sets' questions.
        seed: of the resampling.
        alpha: chance of one false claim or more.
    """
    found = []
    for name in retained:
        before = outcomes.of_arm([r for r in trials if r["stage"] == Stage.baseline], name, "confirm")
        after = outcomes.of_arm(of_arm(trials, chosen), name, "confirm")
        if before is not None and after is not None:
            paired = paired_difference(
                [outcomes.paired(after, before, name)],
                seed=derived_seed(seed, "retained", name),
                second_is_trained=False,
            )
            found.append((name, float(before.right.mean()), float(after.right.mean()), paired))
    together = Family(num_unrelated=len(found) * num_choices)
    return [
        {
            "eval_set": name,
            "before": before,
            "after": after,
            "difference": paired.difference,
            "ci_low": paired.ci_low,
            "ci_high": paired.ci_high,
            **judge(paired, together=together, alpha=alpha).as_dict(),
            "n": paired.n,
        }
        for name, before, after, paired in found
    ]


def retained_sentence(entries: Sequence[dict[str, Any]]) -> str:
    """What is lost, in words; "" where nothing was asked."""
    if not entries:
        return ""
    worse = [e for e in entries if e["verdict"] == Verdict.worse]
    if worse:
        listed = ", ".join(f"{e['eval_set']} by {100 * abs(e['difference']):.1f} points" for e in worse)
        return f"It harms what the backbone did before: {listed}."
    most = max(e["minimum_detectable"] for e in entries)
    return (
        f"No loss detected on {len(entries)} other evaluation set{'s' if len(entries) > 1 else ''} "
        f"(one of {100 * most:.1f} points would have been found four times in five)."
    )
