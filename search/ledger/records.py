"""The kinds of records, the names of arms, and how a record is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from datasets_spec.canonical import canonical_json
from search.vocabulary import Stage, Status
from trainers.recipe import SPLITTING_FIELDS

Record = Mapping[str, Any]
TrialRole = tuple[Any, ...]


class Kind(StrEnum):
    """What a record of the ledger tells."""

    writer = "writer"  # a process that may write has opened it
    loss_accepted = "loss_accepted"  # a damaged part was set aside on the user's word
    suggestion = "suggestion"  # what a strategy proposed
    search_stopped = "search_stopped"  # nothing more was to be gained
    rung = "rung"  # an unfinished trial was scored, and goes on or not
    trial = "trial"  # a trial has ended
    proxy = "proxy"  # scores of a merge: they guide a search, and are no trial's
    decision = "decision"  # what was decided for the user, in words
    confirm_started = "confirm_started"
    sealed_opened = "sealed_opened"
    ended = "ended"  # the whole study
    results = "results"  # hashes of the files that carry results


# How a trial ends that says nothing of itself, or little: a later try counts in its place.
NOT_ITS_OWN = (Status.failed, Status.oom, Status.timeout)
ENDS = (Kind.ended, Kind.results)  # behind which nothing runs until the ledger is opened again


# Arms: what several trials with different seeds are seeds of.
BASELINE_ARM = "baseline"
MERGE_ARM = "merge"
REUSED_ARM = "reused"
_CONTROL, _FINALIST = "control:", "finalist-"


def proposal_arm(index: int) -> str:
    """The arm of a strategy's proposal, numbered from 0."""
    return f"proposal-{index}"


def single_arm(source: str) -> str:
    """The arm of a source alone."""
    return f"single:{source}"


def control_arm(target: str) -> str:
    """The arm of the control that is matched to `target`."""
    return f"{_CONTROL}{target}"


def is_control(arm: str) -> bool:
    """Whether an arm is some target's control."""
    return arm.startswith(_CONTROL)


def finalist_arm(rank: int) -> str:
    """The arm of a finalist, numbered from 1, the best of the search first."""
    return f"{_FINALIST}{rank}"


def finalist_rank(arm: str) -> int | None:
    """The number of a finalist's arm; None for other arms."""
    rank = arm.removeprefix(_FINALIST)
    return int(rank) if rank != arm and rank.isdecimal() else None


def of_kind(records: Iterable[Record], kind: Kind) -> list[Record]:
    """The records of one kind, in the order of the ledger."""
    return [record for record in records if record.get("kind") == kind]


def tries_of(records: Iterable[Record], *stages: Stage) -> list[Record]:
    """The records of all tries of trials, of some stages or of all: for what was spent, every one counts."""
    tries = of_kind(records, Kind.trial)
    return [record for record in tries if record["stage"] in stages] if stages else tries


def trials_of(records: Iterable[Record], *stages: Stage) -> list[Record]:
    """The records of trials that have ended, of some stages or of all; of one that was tried again, the last."""
    tries = tries_of(records, *stages)
    last = {role_of(record): place for place, record in enumerate(tries)}
    return [
        record
        for place, record in enumerate(tries)
        if record.get("status") not in NOT_ITS_OWN or last[role_of(record)] == place
    ]


def is_complete(records: Sequence[Record]) -> bool:
    """Whether the study has ended, and no trial was added since."""
    last = next((record["kind"] for record in reversed(records) if record["kind"] in (Kind.ended, Kind.trial)), None)
    return last == Kind.ended


def role_of(record: Record) -> TrialRole:
    """What a trial is in its study; every try of it has the same."""
    return tuple(record.get(name) for name in ("kind", "stage", "arm", "proposal_index", "train_id"))


def finished_of(records: Iterable[Record], *stages: Stage) -> list[Record]:
    """The records of trials that have scores, of some stages or of all."""
    return [record for record in trials_of(records, *stages) if record.get("status") == Status.finished]


def search_end(records: Iterable[Record], limits: Mapping[str, float | None]) -> Record | None:
    """The record of what ended the search; one of other limits counts only where the confirmation followed upon it.

    Args:
        records: the ledger's.
        limits: that the study goes by now (`StudySpec.search_limits`).
    """
    every = list(records)
    num_made, is_closed = len(of_kind(every, Kind.suggestion)), bool(of_kind(every, Kind.confirm_started))
    ends = [
        record
        for record in of_kind(every, Kind.search_stopped)
        if record.get("limits") == limits or (is_closed and record.get("proposal_index") == num_made)
    ]
    return ends[-1] if ends else None


def each_training_once(records: Iterable[Record]) -> list[Record]:
    """The first record of every training: in several parts of a study, or in several studies, it is one result."""
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record["train_id"], record)
    return list(first.values())


def of_arm(records: Iterable[Record], arm: str) -> list[Record]:
    """The trial records of one arm, in the order of the ledger."""
    return [record for record in trials_of(records) if record.get("arm") == arm]


def scored_on(record: Record, eval_set: str, split: str) -> Record | None:
    """The evaluation of a finished trial on `eval_set` and `split`; None when there is none."""
    for trial in finished_of([record]):
        for evaluation in trial.get("evaluations", ()):
            if evaluation["eval_set"] == eval_set and evaluation["split"] == split:
                found: Record = evaluation
                return found
    return None


def accuracy(correct: Mapping[str, str]) -> float:
    """The mean over evaluation sets of the share of right answers, from a rung's bits by evaluation set."""
    return sum(bits.count("1") / len(bits) for bits in correct.values()) / len(correct)


def training_size(record: Record) -> tuple[int | None, int | None, str]:
    """What a control must share with the trial it is matched to: samples, steps and recipe."""
    return record.get("num_train_samples"), record.get("num_steps"), recipe_identity(record)


def recipe_identity(record: Record) -> str:
    """The recipe by which a trial was trained, as text that is equal where trainings are.

    The micro-batch is not of it: a study that is resumed on another GPU has another one.
    """
    recipe: Mapping[str, Any] = record.get("recipe") or {}
    return canonical_json({name: value for name, value in recipe.items() if name not in SPLITTING_FIELDS})
