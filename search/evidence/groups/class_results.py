"""How an arm does class by class: sensitivity, specificity, AUROC and calibration, from the options' probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import option_groups, option_text_key

if TYPE_CHECKING:
    import pandas as pd

# Fewer questions of a class than this give figures that say nothing; they are left out and counted.
FEWEST_QUESTIONS = 5
NUM_BINS = 10  # of the expected calibration error (Guo et al., arXiv:1706.04599, use 15 on far more questions)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassResult:
    """One class of one evaluation set, for one arm; means over its seeds.

    A question belongs to the class when its answer is that option; it counts against the class when the class is
    among its options and another is the answer.

    Attributes:
        sensitivity: share of the class's questions that were answered with it.
        specificity: share of the others that were not.
        auroc: chance that a question of the class has the higher probability of it than another; ties count half.
        calibration: mean probability of the class minus how often it is the answer; above 0 it is overstated.
        num_positive: questions of the class.
        num_negative: others that offer it.
    """

    arm: str
    eval_set: str
    split: str
    label: str
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    auroc: float
    calibration: float
    num_positive: int
    num_negative: int
    num_seeds: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedQuestion:
    """What a class's figures need to know of a closed question."""

    options: tuple[str, ...]
    answer_index: int


def compute_class_results(
    frames: Sequence[pd.DataFrame], questions: Mapping[str, ClosedQuestion], *, arm: str, eval_set: str, split: str
) -> list[ClassResult]:
    """Figures of every class with enough questions, largest class first.

    Args:
        frames: outcomes of each seed on this evaluation set and split (columns sample_id, predicted, log_probs).
        questions: by sample id.
        arm: name written into the results.
        eval_set: the same.
        split: the same.
    """
    tables = [_probabilities(frame, questions) for frame in frames]
    labels: dict[str, str] = {}
    for question in questions.values():
        for option in question.options:
            labels.setdefault(option_text_key(option), option)
    found = [
        result
        for key, label in labels.items()
        if (result := _class(tables, questions, key, label, arm, eval_set, split)) is not None
    ]
    return sorted(found, key=lambda result: (-result.num_positive, result.label))


def expected_calibration_error(frame: pd.DataFrame, questions: Mapping[str, ClosedQuestion]) -> float | None:
    """Mean distance between the probability of the chosen option and how often it is right, over ten bins.

    None without a closed question.
    """
    confidences, rights = [], []
    for sample, probabilities in _probabilities(frame, questions).items():
        question = questions[sample]
        gold = option_text_key(question.options[question.answer_index])
        chosen = max(probabilities, key=lambda key: probabilities[key])
        confidences.append(probabilities[chosen])
        rights.append(chosen == gold)
    if not confidences:
        return None
    confidence, right = np.array(confidences), np.array(rights, dtype=float)
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(np.sum(gaps))


def _probabilities(frame: pd.DataFrame, questions: Mapping[str, ClosedQuestion]) -> dict[str, dict[str, float]]:
    """For each closed question the probability of each distinct option text, normalised over the options."""
    found = {}
    for sample, log_probs in zip(frame["sample_id"], frame["log_probs"], strict=True):
        question = questions.get(sample)
        if question is None or len(log_probs) != len(question.options):
            continue
        values = np.asarray(log_probs, dtype=np.float64)
        if not np.isfinite(values).all():
            continue
        shares = np.exp(values - values.max())
        shares /= shares.sum()
        by_text: dict[str, float] = {}
        for group, share in zip(option_groups(question.options), shares, strict=True):
            key = option_text_key(question.options[group])
            by_text[key] = by_text.get(key, 0.0) + float(share)
        found[sample] = by_text
    return found


def _class(
    tables: Sequence[Mapping[str, Mapping[str, float]]],
    questions: Mapping[str, ClosedQuestion],
    key: str,
    label: str,
    arm: str,
    eval_set: str,
    split: str,
) -> ClassResult | None:
    from search.statistics.intervals import wilson_interval

    per_seed = []
    for table in tables:
        offered = [sample for sample in table if key in table[sample]]
        is_class = np.array([_gold(questions[sample]) == key for sample in offered], dtype=bool)
        if min(is_class.sum(), (~is_class).sum()) < FEWEST_QUESTIONS:
            return None
        probability = np.array([table[sample][key] for sample in offered])
        chosen = np.array([max(table[sample], key=lambda k: table[sample][k]) == key for sample in offered])
        per_seed.append((is_class, probability, chosen))
    if not per_seed:
        return None
    num_positive, num_negative = int(per_seed[0][0].sum()), int((~per_seed[0][0]).sum())
    sensitivity = float(np.mean([chosen[is_class].mean() for is_class, _, chosen in per_seed]))
    specificity = float(np.mean([1 - chosen[~is_class].mean() for is_class, _, chosen in per_seed]))
    sensitive = wilson_interval(round(sensitivity * num_positive), num_positive)
    specific = wilson_interval(round(specificity * num_negative), num_negative)
    return ClassResult(
        arm=arm,
        eval_set=eval_set,
        split=split,
        label=label,
        sensitivity=sensitivity,
        sensitivity_low=sensitive.low,
        sensitivity_high=sensitive.high,
        specificity=specificity,
        specificity_low=specific.low,
        specificity_high=specific.high,
        auroc=float(np.mean([auroc(probability, is_class) for is_class, probability, _ in per_seed])),
        calibration=float(np.mean([probability.mean() - is_class.mean() for is_class, probability, _ in per_seed])),
        num_positive=num_positive,
        num_negative=num_negative,
        num_seeds=len(per_seed),
    )


def auroc(score: NDArray[np.float64], is_class: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic, as the rank statistic of Mann and Whitney (ties count half)."""
    from scipy.stats import rankdata

    positive = int(is_class.sum())
    ranks = rankdata(score)
    above = float(ranks[is_class].sum()) - positive * (positive + 1) / 2
    return above / (positive * (len(score) - positive))


def _gold(question: ClosedQuestion) -> str:
    return option_text_key(question.options[question.answer_index])
