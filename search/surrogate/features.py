"""What is known of a candidate and a target before any trial: the proxy, and what their keys share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.mat import Key, TaskMap
from search.surrogate.encoding import Encoded
from search.surrogate.kernels import element_matches

Floats = NDArray[np.float64]
PROXY_GROUP: Final = 0
KEYS_GROUP: Final = 1
# A coefficient is N(0, 1) a priori: a point of proxy may be worth a point of accuracy, and one more source that
# shares an element with the target five points.
KEYS_SCALE: Final = 0.05


def key_tables(sources: Sequence[Key], targets: Sequence[Key], task_map: TaskMap) -> Floats:
    """[features, N, T]: whether a source and a target share an element, one table an element."""
    tables = element_matches(sources, targets, task_map)
    varies = (tables != tables[:, :1, :]).any(axis=(1, 2))  # equal for all sources: it tells nothing apart
    kept: Floats = tables[varies]
    return kept


def key_features(candidates: Encoded, tables: Floats) -> Floats:
    """[features, n, T]: how many sources of a candidate share an element with a target."""
    counts: Floats = KEYS_SCALE * np.einsum("ni,fit->fnt", candidates.presence, tables, optimize=True)
    return counts


def proxy_feature(candidates: Encoded, scores: Floats) -> Floats:
    """[1, n, T]: the proxy where it merges something, nan for single sources.

    The merge of one adapter is that adapter: there the proxy is right by construction, and a model that saw this
    would trust it for merges too (on the digits tables its rank correlation with the truth fell by 0.05).
    """
    merged = candidates.presence.sum(1) > 1
    return np.where(merged[:, None], scores, np.nan)[None]
