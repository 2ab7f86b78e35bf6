"""Ledger records and per-question outcomes of made-up trials, consistent with each other."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from datasets_spec.catalog.keys import Key

KEYS = {
    "ct-brain-bleed": Key(modality="CT", area="brain", task="bleed"),
    "mr-brain-tumor": Key(modality="MR", area="brain", task="tumor"),
    "ct-lung-nodule": Key(modality="CT", area="lung", task="nodule"),
    "us-breast-mass": Key(modality="US", area="breast", task="mass"),
}


class MadeUpStudy:
    """Collects trials whose answers are drawn with stated accuracies.

    How hard a question is does not depend on the trial, as with real ones; training noise comes on top.
    """

    def __init__(self, *, num_questions: int = 200, seed_sd: float = 0.01) -> None:
        self.records: list[dict[str, Any]] = []
        self.outcomes: dict[str, pd.DataFrame] = {}
        self._num_questions = num_questions
        self._seed_sd = seed_sd

    def load(self, trial_dir: str) -> pd.DataFrame:
        """The loader that transfer and selection take."""
        return self.outcomes[trial_dir]

    def add(
        self,
        stage: str,
        arm: str,
        composition: Mapping[str, int],
        accuracies: Mapping[tuple[str, str], float],
        *,
        seed: int = 0,
        status: str = "finished",
        **change: Any,
    ) -> dict[str, Any]:
        """Add a trial scored on each (evaluation set, split) with about the given accuracy."""
        train_id = f"{arm}|{sorted(composition.items())}|{seed}|{change.get('recipe')}|{change.get('num_steps')}"
        trial_dir = f"trials/{len(self.records)}"
        rng = np.random.default_rng(zlib.crc32(train_id.encode()))
        noise = float(rng.normal(0, self._seed_sd)) if composition else 0.0
        frames = [self._answers(*place, accuracy + noise, rng) for place, accuracy in accuracies.items()]
        frame = pd.concat(frames) if frames else pd.DataFrame(columns=["sample_id", "eval_set", "split", "correct"])
        self.outcomes[trial_dir] = frame.sample(frac=1, random_state=len(self.records))
        record: dict[str, Any] = {
            "kind": "trial",
            "train_id": train_id,
            "stage": stage,
            "strategy": "random",
            "proposal_index": None,
            "reason": "made up",
            "composition": dict(composition),
            "recipe": {},
            "seed": seed,
            "status": status,
            "rung": None,
            "num_train_samples": sum(composition.values()),
            "num_steps": 80 if composition else 0,
            "train_s": 4.0,
            "startup_s": 1.0,
            "arm": arm,
            "trial_dir": trial_dir,
            "evaluations": [self._evaluation(train_id, part) for part in frames],
            "error": None,
            "finished_at": "2026-11-23T00:00:00+00:00",
        }
        self.records.append(record | change)
        return self.records[-1]

    def _answers(self, eval_set: str, split: str, accuracy: float, rng: np.random.Generator) -> pd.DataFrame:
        hardness = np.random.default_rng(zlib.crc32(f"{eval_set}|{split}".encode())).random(self._num_questions)
        # 4 in 5 answers depend on the question alone; the rest is chance: paired, but not identical.
        own = np.where(rng.random(self._num_questions) < 0.8, hardness, rng.random(self._num_questions))
        sample_ids = [f"{eval_set}/{split}#{k}" for k in range(self._num_questions)]
        return pd.DataFrame({"sample_id": sample_ids, "eval_set": eval_set, "split": split, "correct": own < accuracy})

    @staticmethod
    def _evaluation(train_id: str, answers: pd.DataFrame) -> dict[str, Any]:
        eval_set, split = answers["eval_set"].iloc[0], answers["split"].iloc[0]
        n, correct = len(answers), int(answers["correct"].sum())
        return {
            "score_id": f"{train_id}|{eval_set}|{split}",
            "eval_set": eval_set,
            "split": split,
            "exposure": "held_out",
            "n": n,
            "correct": correct,
            "accuracy": correct / n,
            "generation_correct": None,
            "generation_accuracy": None,
            "invalid": 0,
            "eval_s": 0.5,
        }
