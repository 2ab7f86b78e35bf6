"""What is known of a candidate and a target before any trial: the proxy, and what their keys share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.catalog.keys import Key, TaskMap
from search.statistics.ties import ROUNDING, index_of_largest
from search.strategies.surrogate.encoding import Encoded
from search.strategies.surrogate.kernels import element_matches

Floats = NDArray[np.float64]
PROXY_GROUP: Final = 0
KEYS_GROUP: Final = 1
# A coefficient is N(0, 1) a priori: a point of proxy may be worth a point of accuracy, and what a composition shares
# with a target a tenth of an accuracy, more where scores spread more than on average.
KEYS_SCALE: Final = 0.1
# Squared Hellinger distance between two profiles at which they have little to do with each other any more, and how many
# profiles span the others; a half, a double, and twice as many made no difference on the phantom.
KEYS_LENGTH: Final = 1.0
MAX_LANDMARKS: Final = 12
LEAST_NEW: Final = 1e-3  # share of a profile's variance that earlier landmarks leave unexplained


def key_tables(sources: Sequence[Key], targets: Sequence[Key], task_map: TaskMap) -> Floats:
    """[features, N, T]: whether a source and a target share an element, one table an element."""
    tables = element_matches(sources, targets, task_map)
    varies = (tables != tables[:, :1, :]).any(axis=(1, 2))  # equal for all sources: it tells nothing apart
    kept: Floats = tables[varies]
    return kept


class KeyBasis:
    """Smooth functions of how much of a composition shares which elements with the target, common to all targets.

    A composition's profile for a target is the share of samples of each kind of source: those that share modality and
    task, the modality only, nothing, and so on. The functions span a Gaussian process over profiles (the Nystroem
    method), so that "two thirds of the samples cover all three elements between them" can be learned from one target
    and used for another.

    Args:
        tables: see `key_tables`.
        tried: candidates; the profiles that span all others are chosen among theirs, greedily.
        spreads: [T] standard deviation of each target's scores.
    """

    def __init__(self, tables: Floats, tried: Encoded, spreads: Floats) -> None:
        num_kinds = 2 ** len(tables)
        kinds = np.tensordot(2 ** np.arange(len(tables)), tables, 1)  # [N, T]
        self._is_kind = (kinds[..., None] == np.arange(num_kinds)).astype(np.float64)  # [N, T, kinds]
        self._amplitudes = KEYS_SCALE * spreads / spreads.mean()
        profiles = _distinct(self._profiles(tried).reshape(-1, num_kinds))
        self._landmarks = profiles[_spanning(profiles)] if len(tables) else profiles[:0]
        within = _alike(self._landmarks, self._landmarks) + 1e-6 * np.eye(len(self._landmarks))
        self._mixing = np.linalg.inv(np.linalg.cholesky(within)).T

    def __len__(self) -> int:
        """How many functions."""
        return len(self._landmarks)

    def features(self, candidates: Encoded) -> Floats:
        """[functions, n, T]."""
        profiles = self._profiles(candidates)
        values = _alike(profiles.reshape(-1, profiles.shape[2]), self._landmarks) @ self._mixing
        shaped = values.reshape(*profiles.shape[:2], len(self)).transpose(2, 0, 1)
        scaled: Floats = shaped * self._amplitudes
        return scaled

    def _profiles(self, candidates: Encoded) -> Floats:
        """[n, T, kinds] square roots of shares; rows have length 1."""
        roots: Floats = np.sqrt(np.tensordot(candidates.shares, self._is_kind, 1))
        return roots


def _alike(a: Floats, b: Floats) -> Floats:
    alike: Floats = np.exp((2 * a @ b.T - 2) / KEYS_LENGTH)
    return alike


def _distinct(profiles: Floats) -> Floats:
    """Profiles without repeats, in the order in which they win ties.

    Mixtures of many kinds of source come first, because they lie among the others and explain more of them; then what
    holds most of the kinds that share most elements with the target.
    """
    distinct = np.unique(np.round(profiles, 6), axis=0)
    ordered: Floats = distinct[np.lexsort([*-distinct.T, -(distinct > 0).sum(1)])]  # the last key sorts first
    return ordered


def _spanning(profiles: Floats) -> list[int]:
    """Places of the profiles of a pivoted Cholesky factor: each the one least explained by those before."""
    chosen: list[int] = []
    left = np.ones(len(profiles))
    factor = np.zeros((len(profiles), 0))
    while len(chosen) < min(MAX_LANDMARKS, len(profiles)) and left.max() > LEAST_NEW:
        place = index_of_largest(left, tolerance=ROUNDING)
        column = _alike(profiles, profiles[place : place + 1])[:, 0] - factor @ factor[place]
        factor = np.column_stack([factor, column / np.sqrt(left[place])])
        left = np.maximum(left - factor[:, -1] ** 2, 0)
        chosen.append(place)
    return chosen


def proxy_feature(candidates: Encoded, scores: Floats) -> Floats:
    """[1, n, T]: the proxy where it merges something, nan for single sources.

    The merge of one adapter is that adapter: there the proxy is right by construction, and a model that saw this
    would trust it for merges too (on the digits tables its rank correlation with the truth fell by 0.05).
    """
    merged = candidates.presence.sum(1) > 1
    return np.where(merged[:, None], scores, np.nan)[None]
