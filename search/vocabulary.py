"""The closed words that the ledger, the tables and the reports share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a trial ended. Every status is terminal; only `finished` carries scores that may be compared."""

    finished = "finished"
    stopped_early = "stopped_early"
    failed = "failed"
    oom = "oom"
    timeout = "timeout"
    diverged = "diverged"


class Exposure(StrEnum):
    """What a trial had seen of a target's key before it was scored on that target."""

    held_out = "held_out"
    few_shot = "few_shot"
    in_domain = "in_domain"


# Exposures that count as composing: the target's own key was not trained on, but for a declared few rows.
COUNTED = (Exposure.held_out.value, Exposure.few_shot.value)


class Estimator(StrEnum):
    """What an entry of the transfer matrix is estimated from."""

    single = "single"
    random = "random"
    adaptive = "adaptive"


class Stage(StrEnum):
    """The part of a study that a trial belongs to."""

    baseline = "baseline"
    search = "search"
    single = "single"
    merge = "merge"
    reused = "reused"
    control = "control"
    confirm = "confirm"
    sealed = "sealed"
    design = "design"
    top_up = "top_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparator:
    """What a selection is compared with, as it reads.

    Attributes:
        long: on the page.
        short: in a chart, where a long name would take the place of the data on a telephone.
        phrase: in a sentence, after "better than".
        is_default: whether a study has it unless its file says otherwise; each costs a trial a seed.
        can_be_asked: whether a study file may name it; the untrained backbone is there in any case.
    """

    long: str
    short: str
    phrase: str
    is_default: bool = False
    can_be_asked: bool = True


# In the order in which they are shown. How each is made: `MAKERS` in search/phases/comparators.py.
COMPARATORS = {
    "control": Comparator(
        long="Matched control (unrelated data, same size)",
        short="Matched control",
        phrase="its matched controls",
        is_default=True,
    ),
    "baseline": Comparator(
        long="Backbone, untrained", short="Untrained", phrase="the untrained backbone", can_be_asked=False
    ),
    "all-data": Comparator(long="All data", short="All data", phrase="all data", is_default=True),
    "best-single": Comparator(
        long="Best single subset", short="Best single", phrase="the best single subset", is_default=True
    ),
    "random-same-size": Comparator(
        long="Random mix of the same size",
        short="Random mix",
        phrase="a random composition of its size",
        is_default=True,
    ),
    "additive-singles": Comparator(
        long="Best single subsets together", short="Best singles", phrase="the best single subsets together"
    ),
    "greedy": Comparator(long="Greedy addition of subsets", short="Greedy", phrase="greedy addition of subsets"),
    "metadata": Comparator(
        long="Subsets that share most with the targets",
        short="Metadata rule",
        phrase="the subsets that share most with the targets",
    ),
    "static": Comparator(
        long="Subsets that help other targets most",
        short="Static ranking",
        phrase="the subsets that help other targets most",
    ),
    "target-labels": Comparator(
        long="Own labels of the targets, as many as the search spent",
        short="Target labels",
        phrase="training on the target labels that the search has spent",
    ),
}
