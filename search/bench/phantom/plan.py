"""Which fine-tunes the evidence consists of, from the file that was fixed before measuring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import combinations
from typing import Any, Final

import yaml

from search.bench.phantom.arms import ARMS, NUM_SOURCES, arms_of
from search.bench.phantom.fine_tunes import PhantomTrial

BASELINE: Final = "baseline"
TABLE: Final = "table"
NUM_SAMPLES: Final = 240  # of each source; the arm of a single source takes as many from that one
NUM_QUESTIONS: Final = 200  # of each target
NUM_TABLE_QUESTIONS: Final = 100  # of each target for all compositions; what is picked from them is scored on more
# What is claimed rests on these; the other arms come last.
CLAIMED_ARMS: Final = ("related", "without_modality", "without_area", "without_task", "control")
QUESTIONS: Final = "evidence"  # their split; a pick from the table is judged on others
CONFIRM_QUESTIONS: Final = "confirm"
CONFIRM_SEEDS: Final = (101, 102, 103)  # of what was picked from the table


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidencePlan:
    """The fixed part of the evidence.

    Attributes:
        targets: single-image targets; each is also asked with every ability.
        abilities: names of the abilities.
        table_sources: the eight sources of which every composition is trained.
        table_targets: what those compositions are scored on.
    """

    targets: tuple[str, ...]
    abilities: tuple[str, ...]
    table_sources: tuple[str, ...]
    table_targets: tuple[str, ...]

    def all_of(self, target: str) -> tuple[str, ...]:
        """A target and its ability targets."""
        return (target, *(f"{target}-{ability}" for ability in self.abilities))


def load_plan() -> EvidencePlan:
    """Read ``search/bench/phantom/evidence.yaml``."""
    text = (resources.files("search.bench.phantom") / "evidence.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return EvidencePlan(
        targets=tuple(content["targets"]),
        abilities=tuple(content["abilities"]),
        table_sources=tuple(content["table"]["sources"]),
        table_targets=tuple(content["table"]["targets"]),
    )


def arm_trials(
    plan: EvidencePlan, bases: Sequence[str], seeds: Sequence[int], arms: Sequence[str] = ARMS
) -> list[PhantomTrial]:
    """The given arms of every target, for each base and seed; the baseline once a base."""
    trials = []
    for base in bases:
        everything = tuple(name for target in plan.targets for name in plan.all_of(target))
        trials.append(_trial(BASELINE, base, (), 0, 0, everything))
        for seed in seeds:
            for target in plan.targets:
                drawn = arms_of(target, seed)
                for arm, sources in ((name, drawn[name]) for name in arms):
                    num_samples = NUM_SAMPLES * NUM_SOURCES // len(sources)
                    trials.append(_trial(arm, base, sources, num_samples, seed, plan.all_of(target)))
    return trials


def table_trials(plan: EvidencePlan, base: str, seeds: Sequence[int]) -> list[PhantomTrial]:
    """Every non-empty composition of the table's sources on one base, and the baseline."""
    sizes = range(1, len(plan.table_sources) + 1)
    compositions = [sources for size in sizes for sources in combinations(plan.table_sources, size)]
    baseline = _trial(BASELINE, base, (), 0, 0, plan.table_targets, CONFIRM_QUESTIONS)
    return [
        baseline,
        *composition_trials(
            plan, base, compositions, seeds, question_split=QUESTIONS, num_questions=NUM_TABLE_QUESTIONS
        ),
    ]


def composition_trials(
    plan: EvidencePlan,
    base: str,
    compositions: Iterable[tuple[str, ...]],
    seeds: Sequence[int],
    *,
    question_split: str = CONFIRM_QUESTIONS,
    num_questions: int = NUM_QUESTIONS,
) -> list[PhantomTrial]:
    """Given compositions on one base, scored on the table's targets; by default on questions that picked none."""
    return [
        _trial(TABLE, base, sources, NUM_SAMPLES, seed, plan.table_targets, question_split, num_questions)
        for seed in seeds
        for sources in compositions
    ]


def _trial(
    arm: str,
    base: str,
    sources: tuple[str, ...],
    num_samples: int,
    seed: int,
    targets: tuple[str, ...],
    question_split: str = QUESTIONS,
    num_questions: int = NUM_QUESTIONS,
) -> PhantomTrial:
    return PhantomTrial(
        arm=arm,
        base=base,
        sources=sources,
        num_samples=num_samples,
        seed=seed,
        targets=targets,
        num_questions=num_questions,
        question_split=question_split,
    )
