"""A design's table: accuracy of every arm, and what each contrast shows, with everything judged together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmScore:
    """How one arm of a row did.

    Attributes:
        row: name of the row.
        arm: name of the arm.
        accuracy: mean over seeds, as a share.
        n: questions.
        num_seeds: training seeds; 1 for the baseline.
        num_samples: training samples.
        num_steps: optimizer steps.
        exposure: what it had seen of the target's key.
        published: accuracy that a paper printed, as a share; None where there is none.
    """

    row: str
    arm: str
    accuracy: float
    ci_low: float
    ci_high: float
    n: int
    num_seeds: int
    num_samples: int
    num_steps: int
    exposure: str
    published: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One arm minus another on the row's target.

    Attributes:
        is_claim: whether it is what the row is about; the others say more about it.
        ci_low: lower end of its own interval, not adjusted for the other rows.
        ci_high: upper end.
        p_adjusted: for the same contrast of all rows (Bonferroni).
        num_judged_together: how many that are.
        simultaneous_low: lower end of the interval that the verdict rests on; None where training noise is unknown,
            and in files of versions that did not keep it.
        simultaneous_high: upper end.
        minimum_detectable: true difference that would have been found four times in five.
        is_matched: same samples and steps; None against the untrained backbone.
        is_held_out: neither arm has trained on the target's own key; else it is not compositional generalisation.
    """

    row: str
    first: str
    second: str
    is_claim: bool
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    p_adjusted: float
    num_judged_together: int
    minimum_detectable: float
    verdict: str
    is_matched: bool | None
    is_held_out: bool
    simultaneous_low: float | None = None
    simultaneous_high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DesignTable:
    """What a design found.

    Attributes:
        kind: of the design.
        backbone: what was fine-tuned.
        split: the questions that were asked.
        rows: the hypotheses, as plain JSON.
        scores: one a scored arm.
        contrasts: one a pair of arms that were both scored.
        marks: row -> the paper's mark, trained above both baseline and control; for designs that have these arms.
        missing: rows of which an arm was not scored.
    """

    kind: str
    backbone: str
    split: str
    rows: tuple[Mapping[str, Any], ...]
    scores: tuple[ArmScore, ...]
    contrasts: tuple[Contrast, ...]
    marks: Mapping[str, bool]
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DesignTable:
        """Read what `as_dict` wrote."""
        return cls(
            kind=value["kind"],
            backbone=value["backbone"],
            split=value["split"],
            rows=tuple(value["rows"]),
            scores=tuple(ArmScore(**score) for score in value["scores"]),
            contrasts=tuple(Contrast(**contrast) for contrast in value["contrasts"]),
            marks=value["marks"],
            missing=tuple(value["missing"]),
        )


def pooled_contrasts(table: DesignTable) -> list[dict[str, Any]]:
    """Each contrast averaged over rows: mean difference, and the interval of rows as a sample (Student's t).

    Rows share arms and backbones, so this is a summary of these rows, not a claim about others.
    """
    from scipy.stats import t

    families: dict[tuple[str, str], list[float]] = defaultdict(list)
    for contrast in table.contrasts:
        families[contrast.first, contrast.second].append(contrast.difference)
    pooled = []
    for (first, second), values in families.items():
        mean, error = float(np.mean(values)), float("nan")
        if len(values) > 1:
            error = float(np.std(values, ddof=1) / len(values) ** 0.5 * t.ppf(0.975, len(values) - 1))
        pooled.append(
            {"first": first, "second": second, "num_rows": len(values), "difference": mean, "half_width": error}
        )
    return pooled
