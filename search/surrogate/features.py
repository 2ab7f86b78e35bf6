"""What is known of a candidate and a target before any trial: the proxy, and what their keys share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.mat import Key, TaskMap
from search.surrogate.encoding import Encoded
from search.surrogate.kernels import element_matches

Floats = NDArray[np.float64]
PROXY_GROUP: Final = 0
KEYS_GROUP: Final = 1
# A coefficient is N(0, 1): one point of proxy may be worth one point of accuracy; sharing an element throughout,
# about twenty points.
KEYS_SCALE: Final = 0.2


def key_tables(sources: Sequence[Key], targets: Sequence[Key], task_map: TaskMap) -> Floats:
    """[features, N, T]: whether a source and a target share an element, and pairs of elements."""
    single = element_matches(sources, targets, task_map)
    pairs = [single[i] * single[j] for i, j in combinations(range(len(single)), 2)]
    tables = np.array([*single, *pairs])
    varies = (tables != tables[:, :1, :]).any(axis=(1, 2))  # equal for all sources: it tells nothing apart
    kept: Floats = tables[varies]
    return kept


def key_features(candidates: Encoded, tables: Floats) -> Floats:
    """[features, n, T]: share of a candidate's samples that share an element (or a pair) with a target."""
    shares: Floats = KEYS_SCALE * np.einsum("ni,fit->fnt", candidates.shares, tables, optimize=True)
    return shares
