"""One campaign from search to sealed figures, and what its report would say beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.bench.honesty.world import Campaign, World
from search.evidence.comparisons import MEAN, SplitEvidence
from search.evidence.outcomes import Outcomes
from search.evidence.selection import build_selection
from search.ledger.records import control_arm, finalist_arm
from search.statistics.ties import descending, index_of_largest
from search.vocabulary import Stage

SEARCH_SEED = 0
CONFIRM_SEEDS = (101, 102)  # the defaults of a study file
NUM_FINALISTS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignResult:
    """What a campaign's selection says, and what is true; accuracies and differences are shares.

    Attributes:
        truth: of the selected composition.
        naive: the best score of the search.
        search_expected: what the search's best is said to be worth after its winner's curse.
        search_truth: what it is worth.
        confirm: the selection's score on `confirm`.
        confirm_expected: the same without the luck of the choice.
        sealed: the selection's score on `sealed`.
        sealed_ci: its interval.
        claims: comparator -> verdict on `sealed`, over all targets.
        differences: comparator -> true difference.
        covered: comparator -> whether the interval of the difference holds it.
        detectable: comparator -> the difference that was said to be found four times in five.
    """

    truth: float
    naive: float
    search_expected: float
    search_truth: float
    confirm: float
    confirm_expected: float
    sealed: float
    sealed_ci: tuple[float, float]
    claims: Mapping[str, str]
    differences: Mapping[str, float]
    covered: Mapping[str, bool]
    detectable: Mapping[str, float]


def run_campaign(world: World, seed: int) -> CampaignResult:
    """Search among the world's candidates, confirm the best few with fresh seeds, and open `sealed`."""
    campaign = Campaign(world, seed)
    for name, accuracy in world.candidates.items():
        campaign.run(Stage.search, "search", name, split="search", seed=SEARCH_SEED, accuracy=accuracy)
    scores = {
        next(iter(record["composition"])): float(np.mean([e["accuracy"] for e in record["evaluations"]]))
        for record in campaign.records
    }
    finalists = [list(scores)[place] for place in descending(list(scores.values()))[:NUM_FINALISTS]]
    arms = {finalist_arm(rank): name for rank, name in enumerate(finalists, start=1)}
    _score(campaign, arms, "confirm")
    chosen = best_finalist(campaign, list(arms))
    _score(campaign, {chosen: arms[chosen]}, "sealed")
    outcomes = Outcomes(campaign.load, campaign.groups)
    selection = build_selection(campaign.records, outcomes, targets=world.targets, objective="", seed=seed)
    return _result(world, selection, arms[chosen], finalists[0], scores[finalists[0]])


def best_finalist(campaign: Campaign, arms: list[str]) -> str:
    """Choose as a study does: the highest mean on `confirm`, ties to the better rank in the search."""
    outcomes = Outcomes(campaign.load)
    evidence = SplitEvidence(campaign.records, outcomes, campaign.world.targets, "confirm", seed=0)
    return arms[index_of_largest([evidence.accuracy(arm) or 0.0 for arm in arms])]


def _score(campaign: Campaign, finalists: Mapping[str, str], split: str) -> None:
    stage = Stage.confirm if split == "confirm" else Stage.sealed
    world = campaign.world
    for seed in CONFIRM_SEEDS:
        for arm, name in finalists.items():
            campaign.run(stage, arm, name, split=split, seed=seed, accuracy=world.candidates[name])
        for name, accuracy in world.comparators.items():
            if name == "control":
                for target in world.targets:
                    campaign.run(
                        stage, control_arm(target), f"{name}-{target}", split=split, seed=seed, accuracy=accuracy
                    )
            elif name != "baseline":
                campaign.run(stage, name, name, split=split, seed=seed, accuracy=accuracy)
    if "baseline" in world.comparators:
        stage = Stage.baseline if split == "confirm" else Stage.sealed
        campaign.run(stage, "baseline", "", split=split, seed=0, accuracy=world.comparators["baseline"])


def _result(world: World, selection: Mapping[str, Any], selected: str, first: str, best_score: float) -> CampaignResult:
    truth = world.candidates[selected]
    confirm = next(e for e in selection["estimates"]["confirm"] if e["eval_set"] == MEAN)
    sealed = next(e for e in selection["estimates"]["sealed"] if e["eval_set"] == MEAN)
    rows = {c["comparator"]: c for c in selection["comparisons"] if (c["split"], c["eval_set"]) == ("sealed", MEAN)}
    differences = {name: truth - world.comparators[name] for name in rows}
    return CampaignResult(
        truth=truth,
        naive=best_score,
        search_expected=selection["optimism"]["search"]["expected"],
        search_truth=world.candidates[first],
        confirm=confirm["accuracy"],
        confirm_expected=selection["optimism"]["confirm"]["expected"],
        sealed=sealed["accuracy"],
        sealed_ci=(sealed["ci_low"], sealed["ci_high"]),
        claims={name: row["verdict"] for name, row in rows.items()},
        differences=differences,
        covered={name: row["ci_low"] <= differences[name] <= row["ci_high"] for name, row in rows.items()},
        detectable={name: row["minimum_detectable"] for name, row in rows.items()},
    )
