"""How well questions can be answered from their words alone: a small classifier that never sees an image.

A conditional logit over hashed words: of each option its words, its text together with each word of the question, its
place, and whether it is the longest or the shortest. LUMIERE's questions in Med-MIM are answered right in 80 % of cases
by "whatever is not stable"; a model that has learned this has not learned to read images.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import option_groups
from datasets_spec.store.clusters import row_clusters
from datasets_spec.store.store import Store

_NUM_FEATURES: Final = 1 << 16
# More rows or rounds changed accuracies on the phantom and on Med-MIM's held-out files by less than a point.
MAX_TRAIN_ROWS: Final = 3000
_NUM_ROUNDS: Final = 6
_LEARNING_RATE: Final = 0.3
_NUM_FOLDS: Final = 5
_MAX_QUESTION_WORDS: Final = 40
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextQuestion:
    """What the classifier may read of a row.

    Args:
        text: The question.
        options: Option texts in display order.
        gold: Index of the gold option.
        cluster: Rows of one cluster stand or fall together: of one patient, of one image, or joined by others.
    """

    text: str
    options: tuple[str, ...]
    gold: int
    cluster: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOnly:
    """Accuracy from words alone.

    Args:
        accuracy: In 0..1.
        low: Lower end of a cluster-robust 95 % interval.
        high: Its upper end.
        num_questions: Questions answered.
        num_clusters: Patients, or images, they come from; those that a question compares are one.
        num_trained: Questions learned from; 0 where they were learned from one another, by fifths.
    """

    accuracy: float
    low: float
    high: float
    num_questions: int
    num_clusters: int
    num_trained: int


def text_only(train: Sequence[TextQuestion], asked: Sequence[TextQuestion]) -> TextOnly | None:
    """Learns from one set of questions and answers another.

    Args:
        train: Questions to learn from; with fewer than there are asked, a fifth of the asked is answered by what was
            learned from the others, patients apart.
        asked: Questions to answer.

    Returns:
        The accuracy, or None without questions to learn from.
    """
    if not asked:
        return None
    clusters = [question.cluster for question in asked]
    if len(train) >= len(asked):
        weights = _learned(train[:MAX_TRAIN_ROWS])
        right = [_answers_right(weights, question) for question in asked]
        return _scored(right, clusters, len(train[:MAX_TRAIN_ROWS]))
    folds = [int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) % _NUM_FOLDS for cluster in clusters]
    if len(set(folds)) < _NUM_FOLDS:
        return None
    answered = [False] * len(asked)
    for fold in range(_NUM_FOLDS):
        others = [question for question, own in zip(asked, folds, strict=True) if own != fold]
        weights = _learned(others[:MAX_TRAIN_ROWS])
        for number, own in enumerate(folds):
            if own == fold:
                answered[number] = _answers_right(weights, asked[number])
    return _scored(answered, clusters, 0)


def cluster_interval(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float]:
    """Returns a 95 % interval of a mean whose values come in clusters.

    With few clusters it is wide, as it should be: 631 questions about 5 patients say little about a sixth.

    Args:
        values: Values in 0..1.
        clusters: Cluster of each.
    """
    mean = sum(values) / len(values)
    sums: dict[str, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    if len(sums) < 2:
        return 0.0, 1.0
    from scipy.stats import t

    # The sandwich estimator with the usual correction for few clusters, and Student's quantile for them (Cameron and
    # Miller, J. Human Resources 50, 2015, section VI).
    variance = sum(total**2 for total in sums.values()) / len(values) ** 2 * len(sums) / (len(sums) - 1)
    half = float(t.ppf(0.975, len(sums) - 1)) * math.sqrt(variance)
    return max(0.0, mean - half), min(1.0, mean + half)


def _scored(right: Sequence[bool], clusters: Sequence[str], num_trained: int) -> TextOnly:
    values = [float(value) for value in right]
    low, high = cluster_interval(values, clusters)
    return TextOnly(
        accuracy=sum(values) / len(values),
        low=low,
        high=high,
        num_questions=len(values),
        num_clusters=len(set(clusters)),
        num_trained=num_trained,
    )


@lru_cache(maxsize=200_000)
def _feature(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") % _NUM_FEATURES


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _features(question: TextQuestion) -> list[NDArray[np.intp]]:
    """Features of every option."""
    asked = _words(question.text)[:_MAX_QUESTION_WORDS]
    lengths = [len(option) for option in question.options]
    found = []
    for place, option in enumerate(question.options):
        words = _words(option)
        names = [f"place {place}", f"text {' '.join(words)}", *(f"word {word}" for word in words)]
        names += [f"pair {word} {' '.join(words)}" for word in asked]
        if lengths[place] == max(lengths):
            names.append("longest")
        if lengths[place] == min(lengths):
            names.append("shortest")
        found.append(np.fromiter({_feature(name) for name in names}, dtype=np.intp))
    return found


def _scores(weights: NDArray[np.float64], options: Iterable[NDArray[np.intp]]) -> NDArray[np.float64]:
    return np.array([weights[features].sum() / math.sqrt(len(features)) for features in options])


def _learned(questions: Sequence[TextQuestion]) -> NDArray[np.float64]:
    """Weights after some rounds of Adagrad, which suits words that are rare."""
    weights = np.zeros(_NUM_FEATURES)
    squares = np.full(_NUM_FEATURES, 1e-8)
    read = [(_features(question), question) for question in questions]
    for _ in range(_NUM_ROUNDS):
        for options, question in read:
            scores = _scores(weights, options)
            share = np.exp(scores - scores.max())
            share /= share.sum()
            groups = option_groups(question.options)
            is_gold = np.array([group == groups[question.gold] for group in groups], dtype=float)
            slope = share - is_gold * share / max(1e-12, float((is_gold * share).sum()))
            for features, amount in zip(options, slope.tolist(), strict=True):
                step = amount / math.sqrt(len(features))
                squares[features] += step**2
                weights[features] -= _LEARNING_RATE * step / np.sqrt(squares[features])
    return weights


def _answers_right(weights: NDArray[np.float64], question: TextQuestion) -> bool:
    groups = option_groups(question.options)
    chosen = int(np.argmax(_scores(weights, _features(question))))
    return groups[chosen] == groups[question.gold]


def words_alone(store: Store, name: str, split: str) -> TextOnly | None:
    """Returns how well the closed questions of a split are answered from words alone, learned from ``train``.

    Args:
        store: The store.
        name: Name of the subset.
        split: Whose questions are answered.

    Raises:
        StoreError: There is no such subset or split, or its data are damaged.
    """
    learned, asked = (_questions(read_questions(store, name, part)) for part in ("train", split))
    return text_only(learned, asked)


def read_questions(store: Store, name: str, split: str) -> list[dict[str, Any]]:
    """Reads what blind rules may look at of every row of a partition.

    Raises:
        StoreError: There is no such subset or split, or its data are damaged.
    """
    columns = ["question", "options", "answer_index", "answer_kind", "image_hashes", "group"]
    rows: list[dict[str, Any]] = store.read(name, split, columns=columns).to_pylist()
    return rows


def _questions(rows: Sequence[dict[str, Any]]) -> list[TextQuestion]:
    # A cluster is called by an image: pseudonyms differ from store to store, and folds are drawn from the name.
    clusters, names = row_clusters(rows), dict[int, str]()
    for row, cluster in zip(rows, clusters, strict=True):
        names[cluster] = min(names.get(cluster, row["image_hashes"][0]), *row["image_hashes"])
    return [
        TextQuestion(
            text=row["question"], options=tuple(row["options"]), gold=row["answer_index"], cluster=names[cluster]
        )
        for row, cluster in zip(rows, clusters, strict=True)
        if row["options"]
    ]
