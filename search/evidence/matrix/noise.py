"""The training noise that cells of the transfer matrix are judged with: what the study's repeated trainings show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets_spec.canonical import canonical_json
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.ledger.records import Record, finished_of, training_size
from search.statistics.training_noise import (
    FEWEST_ARMS,
    SeedVariance,
    borrowed_seed_variance,
    moderated,
    own_seed_variance,
)
from search.vocabulary import Stage

# Trainings from scratch that are scored on `search`. Merges are not trained, and reused trials are another study's.
_TRAINED = (Stage.search, Stage.single, Stage.control)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixNoise:
    """Training noise on one target.

    Attributes:
        shared: of one run of any arm, as the repeated ones show it.
        num_arms: how many were repeated.
    """

    shared: SeedVariance
    num_arms: int

    def of_cell(self, arms: Sequence[ArmOutcomes]) -> SeedVariance:
        """The noise of one run of a cell's trained arms: their own too, where enough others say how much it differs."""
        own = own_seed_variance([by_seed(arm) for arm in arms if arm.is_trained])
        if own.freedom < 1 or self.num_arms < FEWEST_ARMS:
            return self.shared  # which holds these arms' own seeds, if they have several
        return moderated(own, self.shared)


def by_seed(arm: ArmOutcomes) -> NDArray[np.float64]:
    """The accuracy of each seed, [num_seeds]."""
    return np.asarray(arm.right.mean(axis=1))


def matrix_noise(trials: Sequence[Record], outcomes: Outcomes, target: str, split: str) -> MatrixNoise:
    """What the trainings that were repeated with other seeds show on a target.

    Args:
        trials: the ledger's trial records.
        outcomes: of their questions.
        target: the evaluation set.
        split: on which it was scored.
    """
    arms = [arm for group in _repeated(trials) if (arm := outcomes.of_arm(group, target, split)) is not None]
    several = [arm for arm in arms if len(arm.seeds) > 1]
    resolution = 1 / max((len(arm.sample_ids) for arm in several), default=1)
    shared = borrowed_seed_variance([by_seed(arm) for arm in several], resolution=resolution)
    return MatrixNoise(shared=shared, num_arms=len(several))


def _repeated(trials: Sequence[Record]) -> list[list[Record]]:
    """Trainings that differ in nothing but the seed, whatever arms they stand for."""
    groups: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in finished_of(trials, *_TRAINED):
        if record.get("composition"):
            groups[(canonical_json(record["composition"]), *training_size(record))].append(record)
    return [group for group in groups.values() if len({record["seed"] for record in group}) > 1]
