"""What to expect of a candidate whose own result helped to choose it.

One result with one seed does not say how much of its distance from what others predict is worth and how much is luck: a
kernel that lets a composition stand for itself explains both. The process sides with worth, and a search chooses where
luck was best; there, 90 % intervals held 65 to 79 % of the truths (docs/benchmarks.md). Hence even odds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from search.strategies.surrogate.gaussian_process import Prediction

# Even, for nothing is known; not fitted. Where seeds are repeated, the process tells both apart by itself.
ODDS_OF_LUCK: Final = 0.5


def allow_for_luck(own: Prediction, others: Prediction) -> Prediction:
    """Mixes two posteriors of one candidate.

    Args:
        own: From all results.
        others: From all but its own.
    """
    odds = ODDS_OF_LUCK
    between = odds * (1 - odds) * (own.mean - others.mean) ** 2
    variance = (1 - odds) * own.deviation**2 + odds * others.deviation**2 + between
    return Prediction(mean=(1 - odds) * own.mean + odds * others.mean, deviation=np.sqrt(variance))
