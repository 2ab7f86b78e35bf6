"""Parts of the study directory that `fixture_run` writes."""

from __future__ import annotations

from typing import Any

import pandas as pd


def standing(accuracy: float, gain: float, place: int) -> dict[str, Any]:
    """Columns of `transfer.csv`: share of the way to perfect, and where the source stands."""
    word = "best" if place == 2 else "tied with the best" if place < 5 else "behind the best"
    return {
        "accuracy": accuracy,
        "normalised_gain": gain / (1 - accuracy + gain),
        "normalised_cg_gain": (gain - 0.05) / (1 - accuracy + gain - 0.05),
        "standing": word,
        "behind_best": 0.02 * place,
        "behind_best_p_value": None if word == "best" else 0.04 if word == "behind the best" else 0.4,
    }


def reliability(target: str) -> list[dict[str, Any]]:
    """Bins of `findings.json`; the lowest is too small to say anything."""
    return [
        {
            "arm": arm, "eval_set": eval_set, "low": low / 10, "high": (low + 1) / 10, "confidence": low / 10 + 0.06,
            "accuracy": low / 10 - (0.02 if arm == "selected" else 0.1), "ci_low": low / 10 - 0.15,
            "ci_high": low / 10 + 0.1, "n": 12 if low == 4 else 120, "num_questions": 4 if low == 4 else 40,
            "num_groups": None if eval_set == "all" else 4 if low == 4 else 12,
        }
        for arm in ("selected", "baseline")
        for eval_set in (target, "all")
        for low in range(4, 10)
    ]  # fmt: skip


def trial_classes(trials: pd.DataFrame) -> pd.DataFrame:
    """Right answers by class: half of the questions are of each."""
    scored = trials[trials["accuracy"].notna() & trials["rung"].isna()]
    scored = scored.drop_duplicates(["train_id", "eval_set", "split"])
    both = [
        scored[["train_id", "eval_set", "split"]].assign(label=label, correct=right, n=scored["n"] // 2)
        for label, right in (("yes", scored["correct"] // 2), ("no", scored["correct"] - scored["correct"] // 2))
    ]
    return pd.concat(both).sort_values(["train_id", "eval_set", "split", "label"], ignore_index=True)
