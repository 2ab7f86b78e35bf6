"""Trials stopped at a rung as results with more noise: what their score there says of the score at the end.

The study's own pairs (trials that were scored at the rung and went to the end) give the line from one to the other and
the spread around it. That line is drawn through those that were good at the rung, which changes neither slope nor
spread, because it is the rung that chose them. What it predicts is drawn towards the mean; a process that has a prior
of its own would draw it there twice, so the prediction is taken back to a score with noise: if the line explains a
share r of the variance of finals and leaves s around it, the score is the mean plus 1 / r of the distance, with noise
s / r (the likelihood that, with the spread of all trials as prior, has the line's prediction as its posterior).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.space.candidate import Candidate
from search.strategies.interface import Observation
from search.vocabulary import Status

Floats = NDArray[np.float64]
# With fewer pairs their spread is a guess.
MIN_PAIRS: Final = 4
# The line counts as if so many pairs had shown a slope of one.
PRIOR_PAIRS: Final = 2.0
# Below this share of explained variance a rung says nothing.
LEAST_EXPLAINED: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisyResult:
    """What a stopped trial is taken for.

    Attributes:
        candidate: what was tried.
        scores: [T] as if it had been trained to the end.
        noise: variance of these, in units of a finished trial's; above 1.
    """

    candidate: Candidate
    scores: tuple[float, ...]
    noise: float


def noisy_results(
    observations: Sequence[Observation], names: Sequence[str], num_items: Mapping[str, int]
) -> list[NoisyResult]:
    """The stopped trials among some observations; none where the study has too few pairs to know what a rung says.

    Args:
        observations: all that ended.
        names: of the T evaluation sets that are learned.
        num_items: questions behind a score, by evaluation set.
    """
    found = []
    for rung in sorted({max(o.rungs) for o in observations if o.status is Status.stopped_early and o.rungs}):
        there = [o for o in observations if set(names) <= set(o.rungs.get(rung, ()))]
        stopped = [o for o in there if o.status is Status.stopped_early and max(o.rungs) == rung]
        pairs = [o for o in there if o.status is Status.finished and o.scores and set(names) <= set(o.scores)]
        if len(pairs) < MIN_PAIRS or not stopped:
            continue
        everyone, before = (_scores([o.rungs[rung] for o in some], names) for some in (there, pairs))
        line = _line(before, _scores([o.scores or {} for o in pairs], names), everyone)
        if line is None:
            continue
        finished_noise = _item_noise(line.centre, [num_items.get(name, 0) for name in names]) or line.around / 2
        for observation, scores in zip(
            stopped, line.taken_back(_scores([o.rungs[rung] for o in stopped], names)), strict=True
        ):
            found.append(
                NoisyResult(
                    candidate=observation.candidate,
                    scores=tuple(scores.tolist()),
                    noise=1 + line.around / line.explained / finished_noise,
                )
            )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """From the score at a rung to that at the end, one slope for all targets."""

    centre: Floats
    centre_there: Floats
    slope: float
    around: float
    explained: float

    def taken_back(self, there: Floats) -> Floats:
        scores: Floats = self.centre + self.slope / self.explained * (there - self.centre_there)
        return scores


def _line(before: Floats, after: Floats, everyone: Floats) -> _Line | None:
    """Fit on pairs [n, T]; None where it explains next to nothing of what all trials [m, T] show."""
    x, y = before - before.mean(0), after - after.mean(0)
    spread = float(everyone.var(0).mean())
    weight = PRIOR_PAIRS * spread * x.shape[1]
    slope = max(0.0, float((x * y).sum()) + weight) / max(float((x * x).sum()) + weight, 1e-12)
    around = float(((y - slope * x) ** 2).sum()) / (x.shape[1] * (len(x) - 1))
    signal = slope**2 * spread
    if around <= 0 or signal < LEAST_EXPLAINED * (signal + around):
        return None
    return _Line(
        centre=after.mean(0) + slope * (everyone.mean(0) - before.mean(0)),
        centre_there=everyone.mean(0),
        slope=slope,
        around=around,
        explained=signal / (signal + around),
    )


def _scores(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    return np.array([[row[name] for name in names] for row in rows], dtype=np.float64).reshape(len(rows), len(names))


def _item_noise(level: Floats, num_items: Sequence[int]) -> float | None:
    """Variance of an accuracy from its questions alone; None where their number is not known."""
    if not all(num_items):
        return None
    share = np.clip(level, 0.05, 0.95)
    return float((share * (1 - share) / np.asarray(num_items)).mean())
