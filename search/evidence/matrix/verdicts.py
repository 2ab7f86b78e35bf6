"""All cells of a transfer matrix judged together: the share of false ones among those pointed out is bounded.

Cells are pointed out by Benjamini and Hochberg's procedure, and all intervals are widened to the level at which they
agree with it: 1 - R q / m for R cells pointed out of m (Benjamini and Yekutieli, J. Amer. Statist. Assoc. 100, 2005,
"False discovery rate-adjusted multiple confidence intervals"; R is 1 at least). So a cell is pointed out where its
interval excludes zero and nowhere else, and of the intervals of those cells a share q at most misses the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.statistics.bootstrap import PairedDifference, PairedItems, paired_difference
from search.statistics.training_noise import SeedVariance
from search.statistics.verdicts import FALSE_DISCOVERY_RATE, Verdict, benjamini_hochberg

# Of a cell in a study that repeated no training: how far its seed moved it cannot be told.
NO_CLAIM = "no claim: training noise is unknown (one seed)"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellContrast:
    """A source alone against its control or the baseline, on one target.

    Attributes:
        paired: answers of both.
        noise: training noise of one run; nothing is claimed without.
        second_is_trained: False against the untrained backbone.
        seed: of the resampling.
    """

    paired: PairedItems
    noise: SeedVariance
    second_is_trained: bool
    seed: int

    def difference(self, confidence: float) -> PairedDifference:
        """The difference with an interval at this confidence; the same draws at each."""
        return paired_difference(
            [self.paired],
            seed=self.seed,
            second_is_trained=self.second_is_trained,
            seed_variance=self.noise,
            confidence=confidence,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedCell:
    """What a cell came to among all cells.

    Attributes:
        difference: with its interval at `confidence`.
        noise: training noise of one run.
        q_value: adjusted over the matrix; None where nothing is claimed.
        confidence: of the interval.
    """

    difference: PairedDifference
    noise: SeedVariance
    q_value: float | None
    confidence: float

    @property
    def verdict(self) -> str:
        """A `Verdict`, or `NO_CLAIM`."""
        if self.q_value is None:
            return NO_CLAIM
        if self.q_value >= FALSE_DISCOVERY_RATE:
            return Verdict.no_difference_detected.value
        return (Verdict.better if self.difference.difference > 0 else Verdict.worse).value

    @property
    def interval(self) -> tuple[float, float]:
        """Excludes zero exactly where the verdict says so: draws are too few to show it at the highest levels."""
        # Student's t with a degree or two reaches beyond what accuracies can differ by.
        low, high = max(-1.0, self.difference.ci_low), min(1.0, self.difference.ci_high)
        if self.verdict == Verdict.no_difference_detected:
            return min(low, 0.0), max(high, 0.0)
        return low, high

    def figures(self) -> dict[str, Any]:
        """The columns of the matrix; neither interval nor p-value where no training noise would be in them."""
        is_judged = self.q_value is not None
        return {
            "difference": self.difference.difference,
            "ci_low": self.interval[0] if is_judged else None,
            "ci_high": self.interval[1] if is_judged else None,
            "p_value": self.difference.p_value if is_judged else None,
            "q_value": self.q_value,
            "verdict": self.verdict,
            "confidence": self.confidence if is_judged else None,
            "training_noise": self.noise.variance**0.5 if is_judged else None,
            "training_noise_freedom": self.noise.freedom if is_judged else None,
        }


def matrix_verdicts(cells: Sequence[CellContrast | None]) -> list[JudgedCell | None]:
    """Judge the cells of a matrix together; those without training noise are left out of the judgement.

    Args:
        cells: None where there is nothing to compare with.
    """
    first = [None if cell is None else cell.difference(0.95) for cell in cells]
    places = [k for k, found in enumerate(first) if found is not None and found.has_seed_noise]
    p_values = [found.p_value for k in places if (found := first[k]) is not None]
    q_values = dict(zip(places, benjamini_hochberg(p_values), strict=True))
    num_found = sum(q < FALSE_DISCOVERY_RATE for q in q_values.values())
    confidence = 1 - FALSE_DISCOVERY_RATE * max(1, num_found) / max(1, len(places))
    return [
        None
        if cell is None or found is None
        else JudgedCell(
            difference=cell.difference(confidence) if k in q_values else found,
            noise=cell.noise,
            q_value=q_values.get(k),
            confidence=confidence,
        )
        for k, (cell, found) in enumerate(zip(cells, first, strict=True))
    ]
