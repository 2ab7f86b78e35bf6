"""The closed words that the ledger, the tables and the reports share."""

from __future__ import annotations

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
