"""A world with known accuracies that answers like a study's trials: hard questions, patients, training noise.

A run answers a question rightly when a uniform number is below the run's accuracy. That number is the question's own
hardness (or its patient's), the composition's own (what this mix finds hard), or this run's luck, in given shares; so
the expected accuracy over questions and seeds is exactly the world's, and runs are paired as real ones are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.vocabulary import Stage, Status

# Share of what makes questions hard that is their patient's.
PATIENT_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is true, and how noisily it shows.

    Attributes:
        candidates: true accuracy of every composition that the search tries, by name.
        comparators: true accuracy of every comparator; `baseline` is not trained.
        num_items: questions of each target in each split.
        targets: their names; a composition has the same true accuracy on all.
        seed_sd: standard deviation of the accuracy between training seeds (0.028: measured on the digits tables).
        own_seed_sd: the same of single compositions by name, where theirs is another.
        question_share: share of answers that depends on the question alone.
        composition_share: share that depends on question and composition, not on the seed.
        patient_size: questions of one patient; 1 means that patients are not known.
        num_patients: patients of each target in each split instead, who also share what a composition finds hard; 0
            means that `patient_size` tells.
        patient_skew: of how many questions each of them has: 1 for as many, 2 for a first one with as many as
            sqrt(1 / num_patients) of all.
        is_graded: whether patients differ by degrees, as a random intercept, and not in two kinds: with questions that
            are half of them right, or half of them wrong, together.
    """

    candidates: Mapping[str, float]
    comparators: Mapping[str, float]
    num_items: Mapping[str, int] = field(default_factory=lambda: {"search": 130, "confirm": 150, "sealed": 300})
    targets: tuple[str, ...] = ("first", "second")
    seed_sd: float = 0.028
    own_seed_sd: Mapping[str, float] = field(default_factory=dict)
    question_share: float = 0.6
    composition_share: float = 0.2
    patient_size: int = 1
    num_patients: int = 0
    patient_skew: float = 1.0
    is_graded: bool = False

    @property
    def has_patients(self) -> bool:
        """Whether it is known whose questions are whose."""
        return self.patient_size > 1 or self.num_patients > 0

    def patients(self, split: str) -> NDArray[np.int_]:
        """The number of the patient of each question of a target, [num_items]."""
        places = np.arange(self.num_items[split])
        if not self.num_patients:
            return np.asarray(places // self.patient_size)
        shares = (places + 0.5) / len(places)
        return np.asarray(self.num_patients * shares**self.patient_skew, dtype=np.int_)


class Campaign:
    """The trials of one campaign in a world, as ledger records and outcomes.

    Args:
        world: what is true.
        seed: of everything that is drawn.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.records: list[dict[str, Any]] = []
        self._seed = seed
        self._outcomes: dict[str, dict[str, list[Any]]] = {}
        self._noise: dict[tuple[str, int], float] = {}

    def load(self, trial_dir: str) -> Any:
        """The outcomes of a trial: columns by name, as an `OutcomesLoader` gives them, without a frame's cost."""
        return self._outcomes[trial_dir]

    @property
    def groups(self) -> dict[str, str] | None:
        """Patient by question; None where they are not known."""
        if not self.world.has_patients:
            return None
        return {
            name: f"{target}/{split}/{patient}"
            for split in self.world.num_items
            for target in self.world.targets
            for name, patient in zip(self._names(target, split), self.world.patients(split), strict=True)
        }

    def run(
        self,
        stage: Stage,
        arm: str,
        composition: str,
        *,
        split: str,
        seed: int,
        accuracy: float | Mapping[str, float],
    ) -> None:
        """Train and score once on every target; `baseline` has neither composition nor training noise.

        Args:
            stage: of the record.
            arm: of the record.
            composition: its name; empty for the untrained backbone.
            split: that is scored.
            seed: of the training.
            accuracy: the true one, on all targets or by target.
        """
        is_trained = composition != ""
        noise = self._training_noise(composition, seed) if is_trained else 0.0
        expected = accuracy if isinstance(accuracy, Mapping) else dict.fromkeys(self.world.targets, accuracy)
        answers = {t: self._answers(t, split, composition, seed, expected[t] + noise) for t in self.world.targets}
        trial_dir = f"trials/{len(self.records)}"
        num_searched = sum(record["stage"] == Stage.search for record in self.records)
        self._outcomes[trial_dir] = {
            "sample_id": [name for target in answers for name in self._names(target, split)],
            "eval_set": [target for target, right in answers.items() for _ in right],
            "split": [split for right in answers.values() for _ in right],
            "correct": [bool(value) for right in answers.values() for value in right],
        }
        self.records.append(
            {
                "kind": "trial",
                "train_id": f"{composition}|{seed}",
                "stage": stage,
                "arm": arm,
                "composition": {composition: 1} if is_trained else {},
                "recipe": {},
                "seed": seed,
                "status": Status.finished,
                "num_train_samples": int(is_trained),
                "num_steps": int(is_trained),
                "proposal_index": num_searched if stage == Stage.search else None,
                "trial_dir": trial_dir,
                "evaluations": [_evaluation(target, split, right) for target, right in answers.items()],
            }
        )

    def _training_noise(self, composition: str, seed: int) -> float:
        key = (composition, seed)
        if key not in self._noise:  # the same weights are scored on several splits
            seed_sd = self.world.own_seed_sd.get(composition, self.world.seed_sd)
            self._noise[key] = float(self._rng("noise", *key).normal(0, seed_sd))
        return self._noise[key]

    def _answers(self, target: str, split: str, composition: str, seed: int, accuracy: float) -> NDArray[np.bool_]:
        n = self.world.num_items[split]
        source = self._rng("source", target, split, composition).random(n)
        hardness = self._by_patient(self._rng("hardness", target, split), split)
        of_own = self._rng("own", target, split, composition)
        own = self._by_patient(of_own, split) if self.world.num_patients else of_own.random(n)
        luck = self._rng("luck", target, split, composition, seed).random(n)
        question, both = self.world.question_share, self.world.question_share + self.world.composition_share
        drawn = np.where(source < question, hardness, np.where(source < both, own, luck))
        return np.asarray(drawn < accuracy)

    def _by_patient(self, rng: np.random.Generator, split: str) -> NDArray[np.float64]:
        """A uniform number each question, half of which is their patients'."""
        patients = self.world.patients(split)
        if self.world.is_graded:
            from scipy.special import ndtr

            shared, own = rng.normal(size=patients[-1] + 1)[patients], rng.normal(size=len(patients))
            return np.asarray(ndtr(PATIENT_SHARE**0.5 * shared + (1 - PATIENT_SHARE) ** 0.5 * own))
        each = rng.random(len(patients))
        of_patient = rng.random(patients[-1] + 1)[patients]
        is_shared = rng.random(len(patients)) < (PATIENT_SHARE if self.world.has_patients else 0.0)
        return np.where(is_shared, of_patient, each)

    def _names(self, target: str, split: str) -> list[str]:
        return [f"{target}/{split}#{k}" for k in range(self.world.num_items[split])]

    def _rng(self, *parts: object) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32("|".join(map(str, parts)).encode())])


def _evaluation(target: str, split: str, right: NDArray[np.bool_]) -> dict[str, Any]:
    n, correct = len(right), int(right.sum())
    return {
        "eval_set": target,
        "split": split,
        "exposure": "held_out",
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
    }
