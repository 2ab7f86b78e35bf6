"""One campaign from search to sealed figures, and what its report would say beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.bench.honesty.world import Campaign, World
from search.evidence.confirmation.comparisons import MEAN, SplitEvidence
from search.evidence.confirmation.racing import FIRST_LOOK, best_finalist, finalists_left
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection
from search.ledger.records import control_arm, finalist_arm, finalist_rank
from search.statistics.ties import descending
from search.vocabulary import Stage

SEARCH_SEED = 0
FIRST_SEED, FIRST_FURTHER = 101, 201  # of the confirmation, and of the chosen finalist alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How a campaign is confirmed; the defaults are those of a study file.

    Attributes:
        num_finalists: of the search.
        num_seeds: of an arm, at most.
        num_further: seeds that only the chosen finalist has beside them.
        racing: whether finalists are given up that would hardly be chosen.
    """

    num_finalists: int = 2
    num_seeds: int = 2
    num_further: int = 0
    racing: bool = False

    @property
    def seeds(self) -> range:
        """Of the confirmation."""
        return range(FIRST_SEED, FIRST_SEED + self.num_seeds)


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
        covered: comparator -> whether the difference's own interval holds it.
        covered_together: whether all simultaneous intervals hold their differences.
        recommends: whether the headline says what to train on.
        detectable: comparator -> the difference that was said to be found four times in five.
        num_trained: fine-tunes of the confirmation.
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
    covered_together: bool
    recommends: bool
    detectable: Mapping[str, float]
    num_trained: int


def run_campaign(world: World, seed: int, protocol: Protocol | None = None) -> CampaignResult:
    """Search among the world's candidates, confirm the best few with fresh seeds, and open `sealed`."""
    protocol = protocol or Protocol()
    campaign = Campaign(world, seed)
    for name, accuracy in world.candidates.items():
        campaign.run(Stage.search, "search", name, split="search", seed=SEARCH_SEED, accuracy=accuracy)
    scores = {
        next(iter(record["composition"])): float(np.mean([e["accuracy"] for e in record["evaluations"]]))
        for record in campaign.records
    }
    finalists = [list(scores)[place] for place in descending(list(scores.values()))[: protocol.num_finalists]]
    arms = {finalist_arm(rank): name for rank, name in enumerate(finalists, start=1)}
    chosen = confirm(campaign, arms, protocol)
    open_sealed(campaign, chosen)
    outcomes = Outcomes(campaign.load, campaign.groups)
    rules = SelectionRules(targets=world.targets, objective="", seed=seed)
    selection = build_selection(campaign.records, outcomes, rules)
    return _result(campaign, selection, arms[chosen], finalists[0], scores[finalists[0]])


def confirm(campaign: Campaign, arms: Mapping[str, str], protocol: Protocol) -> str:
    """Train finalists and comparators as a study does, in rounds of seeds; return the chosen arm."""
    world, outcomes = campaign.world, Outcomes(campaign.load, campaign.groups)

    def evidence() -> SplitEvidence:
        return SplitEvidence(campaign.records, outcomes, world.targets, "confirm", seed=0)

    left = list(arms)
    for number, seed in enumerate(protocol.seeds, start=1):
        for arm in left:
            name = arms[arm]
            campaign.run(Stage.confirm, arm, name, split="confirm", seed=seed, accuracy=world.candidates[name])
        if protocol.racing and FIRST_LOOK <= number < protocol.num_seeds:
            left = finalists_left(evidence(), list(arms), protocol.num_seeds)
    chosen = best_finalist(evidence(), list(arms))
    assert chosen is not None
    name = arms[chosen]
    for further in range(protocol.num_further):
        seed = FIRST_FURTHER + further
        campaign.run(Stage.confirm, chosen, name, split="confirm", seed=seed, accuracy=world.candidates[name])
    if "baseline" in world.comparators:
        accuracy = world.comparators["baseline"]
        campaign.run(Stage.baseline, "baseline", "", split="confirm", seed=0, accuracy=accuracy)
    for seed in protocol.seeds:
        for comparator in world.comparators:
            if comparator != "baseline":
                _run_comparator(campaign, comparator, seed)
    return chosen


def _run_comparator(campaign: Campaign, name: str, seed: int) -> None:
    accuracy = campaign.world.comparators[name]
    if name != "control":
        campaign.run(Stage.confirm, name, name, split="confirm", seed=seed, accuracy=accuracy)
        return
    for target in campaign.world.targets:
        campaign.run(
            Stage.confirm, control_arm(target), f"{name}-{target}", split="confirm", seed=seed, accuracy=accuracy
        )


def open_sealed(campaign: Campaign, chosen: str) -> None:
    """Score the chosen finalist and what it is compared with on `sealed`, with the same weights.

    A study shows `sealed` to no other finalist (`phases.confirm`).
    """
    world = campaign.world
    controls = {f"control-{t}": world.comparators.get("control", 0.0) for t in world.targets}
    truths = {**world.candidates, **world.comparators, **controls, "": world.comparators.get("baseline", 0.0)}
    confirmed = [r for r in campaign.records if r["stage"] in (Stage.confirm, Stage.baseline)]
    for record in [r for r in confirmed if finalist_rank(r["arm"]) is None or r["arm"] == chosen]:
        name = next(iter(record["composition"]), "")
        campaign.run(Stage.sealed, record["arm"], name, split="sealed", seed=record["seed"], accuracy=truths[name])


def _result(
    campaign: Campaign, selection: Mapping[str, Any], selected: str, first: str, best_score: float
) -> CampaignResult:
    world = campaign.world
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
        covered_together=all(
            row["simultaneous_low"] <= differences[name] <= row["simultaneous_high"] for name, row in rows.items()
        ),
        recommends=selection["finding"]["recommends"],
        num_trained=sum(r["stage"] == Stage.confirm for r in campaign.records),
        detectable={name: row["minimum_detectable"] for name, row in rows.items()},
    )
