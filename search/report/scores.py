"""One figure a trial: its mean accuracy over the targets on one split."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from search.vocabulary import COUNTED


def compute_final_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """The last state of every (trial, arm, evaluation set, split): rows of earlier rungs are left out.

    One trial may stand for several arms: a finalist that is selected, a single subset that is the best one.

    Args:
        trials: `trials.parquet`; a `rung` that is missing is the end of training.

    Returns:
        The same columns, at most one row for each (train_id, arm, eval_set, split).
    """
    ordered = trials.assign(_rung=trials["rung"].fillna(float("inf"))).sort_values("_rung", kind="stable")
    last = ordered.drop_duplicates(["train_id", "arm", "eval_set", "split"], keep="last")
    return last.drop(columns="_rung").sort_index()


def compute_trial_scores(trials: pd.DataFrame, targets: Sequence[str], split: str) -> pd.DataFrame:
    """The mean accuracy over all targets of every finished trial that was scored on all of them.

    A target on which the trial is `in_domain` does not count as transfer, so a trial with one has no mean
    (the objective uses held-out and declared few-shot pairs only).

    Args:
        trials: `trials.parquet`.
        targets: The names that must all be scored.
        split: The split to look at.

    Returns:
        Index train_id; columns score (share), gain and cg_gain (shares, mean over the targets, missing when one
        is), n (questions over all targets).
    """
    rows = compute_final_rows(trials).drop_duplicates(["train_id", "eval_set", "split"])
    rows = rows[
        (rows["split"] == split)
        & rows["eval_set"].isin(list(targets))
        & (rows["status"] == "finished")
        & rows["exposure"].isin(COUNTED)
        & rows["accuracy"].notna()
    ]
    groups = rows.groupby("train_id", sort=False)
    scores = pd.DataFrame(
        {
            "score": groups["accuracy"].mean(),
            "gain": groups["gain"].apply(lambda column: column.mean(skipna=False)),
            "cg_gain": groups["cg_gain"].apply(lambda column: column.mean(skipna=False)),
            "n": groups["n"].sum(),
        }
    )
    return scores[groups["eval_set"].nunique() == len(set(targets))]


def compute_own_keys(trials: pd.DataFrame, targets: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The targets whose own key a trial trained on, by train_id: such a trial has no objective value.

    Args:
        trials: `trials.parquet`.
        targets: What the objective is the mean over.
    """
    seen = trials[trials["eval_set"].isin(list(targets)) & trials["exposure"].notna()]
    seen = seen[~seen["exposure"].isin(COUNTED)]
    found: dict[str, tuple[str, ...]] = {}
    for train_id, group in seen.groupby("train_id"):
        names = set(group["eval_set"])
        found[str(train_id)] = tuple(name for name in targets if name in names)
    return found


def compute_trial_heads(trials: pd.DataFrame) -> pd.DataFrame:
    """What is the same in every row of a trial (composition, recipe, cost, status), as it was recorded first.

    Args:
        trials: `trials.parquet`.

    Returns:
        One row for each train_id, which is the index.
    """
    columns = [
        "stage", "arm", "strategy", "composition", "recipe", "seed", "num_train_samples", "num_steps",
        "train_s", "status", "proposal_index",
    ]  # fmt: skip
    return compute_final_rows(trials).drop_duplicates("train_id").set_index("train_id")[columns]
