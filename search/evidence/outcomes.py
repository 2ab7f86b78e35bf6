"""Per-question outcomes of trials as matrices, so that every figure is computed from answers, not from averages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import UserError
from datasets_spec.store.clusters import set_clusters
from datasets_spec.store.store import Store
from search.ledger.records import Record, scored_on
from search.statistics.bootstrap import PairedItems
from search.study.run_dir import RunDir
from search.study.score import ScoreSection, with_marks
from search.study.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd

# Takes a record's `trial_dir`; returns a frame with the columns sample_id, eval_set, split, correct at least, and mark
# where a question may count for a part.
OutcomesLoader = Callable[[str], "pd.DataFrame"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ArmOutcomes:
    """What the answers of one arm's trials count for on one evaluation set.

    Attributes:
        sample_ids: the questions, sorted.
        right: what each question counts for: 0 or 1, of words and boxes also between, [num_seeds, num_items].
        seeds: the training seeds, ascending, [num_seeds].
        is_trained: False for the untrained backbone, which has no training noise.
    """

    sample_ids: tuple[str, ...]
    right: NDArray[np.float64]
    seeds: tuple[int, ...]
    is_trained: bool

    def keep_seeds(self, num_seeds: int) -> ArmOutcomes:
        """The same with the first seeds only."""
        return ArmOutcomes(
            sample_ids=self.sample_ids,
            right=self.right[:num_seeds],
            seeds=self.seeds[:num_seeds],
            is_trained=self.is_trained,
        )


class Outcomes:
    """The outcomes of a study's trials; answers are read once, however many figures are computed from them.

    Args:
        loader: reads the outcomes of a trial folder.
        groups: patient or study by sample_id, where known.
    """

    def __init__(self, loader: OutcomesLoader, groups: Mapping[str, str] | None = None) -> None:
        self._loader = loader
        self._groups = groups or {}
        self._read: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
        self._num_right: dict[tuple[str, str, str], int] = {}

    def answers(self, trial_dir: str, eval_set: str, split: str) -> dict[str, float]:
        """What each question counted for, by sample_id; empty when the set was not scored."""
        if trial_dir not in self._read:
            frame = self._loader(trial_dir)
            by_set: dict[tuple[str, str], dict[str, float]] = {}
            marks = frame["mark"] if "mark" in frame else frame["correct"]
            for name, part, sample_id, correct, mark in zip(
                frame["eval_set"], frame["split"], frame["sample_id"], frame["correct"], marks, strict=True
            ):
                by_set.setdefault((name, part), {})[sample_id] = float(mark)
                place = (trial_dir, name, part)
                self._num_right[place] = self._num_right.get(place, 0) + bool(correct)
            self._read[trial_dir] = by_set
        return self._read[trial_dir].get((eval_set, split), {})

    def frames(self, records: Iterable[Record], eval_set: str, split: str) -> list[pd.DataFrame]:
        """The whole outcomes of each seed on one evaluation set, the latest record of a seed, in order of seeds.

        They are read when asked for and not kept: with every option's probability they are several times the answers.
        """
        by_seed = {record["seed"]: record for record in records if scored_on(record, eval_set, split) is not None}
        frames = [self._loader(str(by_seed[seed]["trial_dir"])) for seed in sorted(by_seed)]
        return [frame[(frame["eval_set"] == eval_set) & (frame["split"] == split)] for frame in frames]

    def by_place(self, trial_dir: str) -> list[tuple[tuple[str, str], pd.DataFrame]]:
        """All outcomes of a trial by evaluation set and split, in order; they are read when asked for and not kept."""
        frame = self._loader(trial_dir)
        return [((str(name), str(split)), part) for (name, split), part in frame.groupby(["eval_set", "split"])]

    def of_arm(self, records: Iterable[Record], eval_set: str, split: str) -> ArmOutcomes | None:
        """The outcomes of an arm: one row a seed (the latest record of each); None when it was not scored there.

        Raises:
            UserError: the seeds were scored on different questions, or counted otherwise than recorded.
        """
        by_seed: dict[int, Record] = {}
        for record in records:
            if scored_on(record, eval_set, split) is not None:
                by_seed[int(record["seed"])] = record
        if not by_seed:
            return None
        seeds = tuple(sorted(by_seed))
        rows = [self._checked_answers(by_seed[seed], eval_set, split) for seed in seeds]
        sample_ids = tuple(sorted(rows[0]))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise UserError(f"the seeds of an arm were scored on different questions of {eval_set} ({split})")
        right = np.array([[row[sample_id] for sample_id in sample_ids] for row in rows], dtype=np.float64)
        is_trained = any(by_seed[seed].get("composition") for seed in seeds)
        return ArmOutcomes(sample_ids=sample_ids, right=right, seeds=seeds, is_trained=is_trained)

    def _checked_answers(self, record: Record, eval_set: str, split: str) -> dict[str, float]:
        answers = self.answers(str(record["trial_dir"]), eval_set, split)
        num_right = self._num_right.get((str(record["trial_dir"]), eval_set, split), 0)
        evaluation = scored_on(record, eval_set, split)
        if evaluation is None or (len(answers), num_right) != (evaluation["n"], evaluation["correct"]):
            raise UserError(
                f"the outcomes in {record['trial_dir']} are not those the ledger records for {eval_set} ({split})",
                hint="restore the folder from a copy, or delete it and run the trial again",
            )
        return answers

    def paired(self, first: ArmOutcomes, second: ArmOutcomes, eval_set: str) -> PairedItems:
        """Both arms on the same questions.

        Raises:
            UserError: they were scored on different questions.
        """
        if first.sample_ids != second.sample_ids:
            raise UserError(
                f"two arms were scored on different questions of {eval_set}",
                hint="the store changed between them: run the study again in a new directory",
            )
        return PairedItems(first=first.right, second=second.right, groups=self.groups_of(first.sample_ids))

    def groups_of(self, sample_ids: Sequence[str]) -> list[str] | None:
        """The group of each question; a question of unknown group is a group of its own; None when none is known."""
        if not any(sample_id in self._groups for sample_id in sample_ids):
            return None
        return [
            f"group {self._groups[sample_id]}" if sample_id in self._groups else f"question {sample_id}"
            for sample_id in sample_ids
        ]


def outcomes_of(run_dir: RunDir, score: ScoreSection, groups: Mapping[str, str] | None = None) -> Outcomes:
    """The outcomes of a study's trials, by a record's `trial_dir`, which is relative to the study directory.

    Args:
        run_dir: the study directory.
        score: what a question counts for.
        groups: patient or study by sample_id, where known.
    """

    def load(trial_dir: str) -> pd.DataFrame:
        from trainers.trial.folder import read_outcomes

        frame: pd.DataFrame = read_outcomes(run_dir / trial_dir).to_pandas()
        return with_marks(frame, score)

    return Outcomes(load, groups)


def question_groups(store: Store, spec: StudySpec, splits: tuple[str, ...]) -> dict[str, str]:
    """Return the cluster of questions by sample id, where known: questions about one patient are not independent.

    Where patients are unknown, questions about one image are a cluster; what compares patients or images joins them.
    A patient or an image of several sets is one cluster in all of them.
    """
    groups: dict[str, str] = {}
    columns = ["sample_id", "group", "image_hashes"]
    for split in splits:
        sets = [store.read(name, split, columns=columns).to_pylist() for name in spec.sets_on(split)]
        numbers = [number for found in set_clusters(sets) for number in found]
        sizes = Counter(numbers)
        for row, number in zip((row for rows in sets for row in rows), numbers, strict=True):
            if row["group"] is not None or sizes[number] > 1:
                groups[row["sample_id"]] = f"{split}/{number}"
    return groups
