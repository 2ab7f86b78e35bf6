"""How noisy a study's finished trials are, and how much its compositions differ: what the power formula is fed with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.ledger.records import Record, of_arm, scored_on, trials_of
from search.statistics.power import ASSUMED, ASSUMED_PAIRING, Noise
from search.statistics.training_noise import answer_variance, own_seed_variance
from search.statistics.winners_curse import winners_curse
from search.vocabulary import Stage


def measured_prospects(
    records: Sequence[Record], outcomes: Outcomes, targets: Sequence[str]
) -> tuple[Noise, float | None]:
    """The noise of a study's finished trials, and the spread of its compositions' worth as a share.

    Args:
        records: the ledger's trial records.
        outcomes: their per-question outcomes.
        targets: the evaluation sets of the objective.

    Returns:
        The assumed noise where no arm has two seeds; None as the spread with too few trials of a search.
    """
    found: dict[str, list[ArmOutcomes]] = {}
    replicated = [record for record in records if record["stage"] not in (Stage.search, Stage.sealed)]
    for target in targets:
        for arm in dict.fromkeys(str(record["arm"]) for record in replicated):
            outcome = outcomes.of_arm(of_arm(replicated, arm), target, "confirm")
            if outcome is not None:
                found.setdefault(target, []).append(outcome)
    noise = measured_noise(found)
    return noise, _worth_sd(records, outcomes, targets, noise)


def measured_noise(arms: Mapping[str, Sequence[ArmOutcomes]]) -> Noise:
    """Noise of finished trials; the assumed one where no arm has two seeds.

    Args:
        arms: for each evaluation set, trained arms on its questions.
    """
    several = [arm for found in arms.values() for arm in found if arm.is_trained and len(arm.seeds) > 1]
    if not several:
        return ASSUMED
    between = own_seed_variance([arm.right.mean(axis=1) for arm in several]).variance
    scatter = float(np.mean([answer_variance(arm.right) for arm in several]))
    pairing = [_pairing(a, b) for found in arms.values() for a, b in _pairs(found)]
    return Noise(
        shift_sd=math.sqrt(max(0.0, between - scatter)),
        pairing=float(np.mean(pairing)) if pairing else ASSUMED_PAIRING,
        num_arms=len(several),
    )


def _worth_sd(records: Sequence[Record], outcomes: Outcomes, targets: Sequence[str], noise: Noise) -> float | None:
    searched = [
        r for r in trials_of(records, Stage.search) if all(scored_on(r, t, "search") is not None for t in targets)
    ]
    if not searched:
        return None
    arms = {t: [outcomes.of_arm([record], t, "search") for record in searched] for t in targets}
    matrices = [np.concatenate([arm.right for arm in found if arm is not None]) for found in arms.values()]
    curse = winners_curse(matrices, training_shift=noise.shift_sd**2)
    if curse is None:
        return None
    spread = float(np.mean([matrix.mean(axis=1) for matrix in matrices], axis=0).std(ddof=1))
    return float(spread * curse.reliability**0.5)


def _pairs(arms: Sequence[ArmOutcomes]) -> list[tuple[ArmOutcomes, ArmOutcomes]]:
    return [(a, b) for k, a in enumerate(arms) for b in arms[k + 1 :] if a.sample_ids == b.sample_ids]


def _pairing(first: ArmOutcomes, second: ArmOutcomes) -> float:
    """Variance of a question's difference between one run of each."""
    return float(np.mean([(a - b).var() for a in first.right for b in second.right]))
