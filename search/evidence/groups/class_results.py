"""How an arm does class by class: sensitivity, specificity, AUROC and calibration, from the options' probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import option_groups, option_text_key
from search.statistics.intervals import Interval, clustered_interval, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

# A class of fewer questions than this, or of fewer patients, gives figures that say nothing and may name a person: it
# is left out and counted.
FEWEST_QUESTIONS = 5
FEWEST_PATIENTS = 5


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
        num_groups: clusters (`num_groups`) of the class's questions. Where there are, intervals are cluster-robust over
            them, else Wilson's over questions.
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
    num_groups: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedQuestion:
    """What a class's figures need to know of a closed question."""

    options: tuple[str, ...]
    answer_index: int


def compute_class_results(
    frames: Sequence[pd.DataFrame],
    questions: Mapping[str, ClosedQuestion],
    *,
    arm: str,
    eval_set: str,
    split: str,
    groups: Mapping[str, str] | None = None,
) -> list[ClassResult]:
    """Figures of every class with enough questions, largest class first.

    Args:
        frames: outcomes of each seed on this evaluation set and split (columns sample_id, predicted, log_probs).
        questions: by sample id.
        arm: name written into the results.
        eval_set: the same.
        split: the same.
        groups: patient (or image) by sample id, where known.
    """
    tables = [option_probabilities(frame, questions) for frame in frames]
    labels: dict[str, str] = {}
    for question in questions.values():
        for option in question.options:
            labels.setdefault(option_text_key(option), option)
    found = [
        ClassResult(arm=arm, eval_set=eval_set, split=split, label=label, **figures)
        for key, label in labels.items()
        if (figures := _class(tables, questions, key, groups or {})) is not None
    ]
    return sorted(found, key=lambda result: (-result.num_positive, result.label))


def option_probabilities(frame: pd.DataFrame, questions: Mapping[str, ClosedQuestion]) -> dict[str, dict[str, float]]:
    """For each closed question the probability of each distinct option text, normalised over the options.

    Args:
        frame: outcomes of one seed (columns sample_id, log_probs).
        questions: by sample id; those without a probability for each option are left out.
    """
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


def count_rare_classes(questions: Mapping[str, ClosedQuestion], groups: Mapping[str, str]) -> tuple[int, int]:
    """How many answers have too few questions or patients to say anything of them, and how many questions these are."""
    rare = rare_classes({sample: _gold(question) for sample, question in questions.items()}, groups)
    return len(rare), sum(_gold(question) in rare for question in questions.values())


def rare_classes(golds: Mapping[str, str], groups: Mapping[str, str]) -> set[str]:
    """The answers that have too few questions, or questions of too few patients, to be spelt out.

    Args:
        golds: key of the answer (`option_text_key`) by sample id.
        groups: patient (or image) by sample id, where known.
    """
    samples: dict[str, list[str]] = {}
    for sample, key in golds.items():
        samples.setdefault(key, []).append(sample)
    return {key for key, named in samples.items() if _is_rare(named, groups)}


def _is_rare(samples: Sequence[str], groups: Mapping[str, str]) -> bool:
    known = num_groups(samples, groups)
    return len(samples) < FEWEST_QUESTIONS or (known is not None and known < FEWEST_PATIENTS)


class _Answers(NamedTuple):
    """One seed's answers to the questions that offer a class, [num_questions] each."""

    samples: list[str]
    is_class: NDArray[np.bool_]
    probability: NDArray[np.float64]
    chosen: NDArray[np.bool_]

    def of(self, is_class: bool) -> list[str]:
        """The questions of the class, or the others."""
        return [sample for sample, flag in zip(self.samples, self.is_class, strict=True) if flag == is_class]


def _class(
    tables: Sequence[Mapping[str, Mapping[str, float]]],
    questions: Mapping[str, ClosedQuestion],
    key: str,
    groups: Mapping[str, str],
) -> dict[str, Any] | None:
    per_seed = [_answers(table, questions, key) for table in tables]
    if not per_seed or any(_is_rare(seed.of(part), groups) for seed in per_seed for part in (True, False)):
        return None
    sensitive, specific = _interval(per_seed, True, groups), _interval(per_seed, False, groups)
    first = per_seed[0]
    return {
        "sensitivity": float(np.mean([seed.chosen[seed.is_class].mean() for seed in per_seed])),
        "sensitivity_low": sensitive.low,
        "sensitivity_high": sensitive.high,
        "specificity": float(np.mean([1 - seed.chosen[~seed.is_class].mean() for seed in per_seed])),
        "specificity_low": specific.low,
        "specificity_high": specific.high,
        "auroc": float(np.mean([auroc(seed.probability, seed.is_class) for seed in per_seed])),
        "calibration": float(np.mean([seed.probability.mean() - seed.is_class.mean() for seed in per_seed])),
        "num_positive": int(first.is_class.sum()),
        "num_negative": int((~first.is_class).sum()),
        "num_seeds": len(per_seed),
        "num_groups": num_groups(first.of(True), groups),
    }


def _answers(table: Mapping[str, Mapping[str, float]], questions: Mapping[str, ClosedQuestion], key: str) -> _Answers:
    offered = [sample for sample in table if key in table[sample]]
    return _Answers(
        samples=offered,
        is_class=np.array([_gold(questions[sample]) == key for sample in offered], dtype=bool),
        probability=np.array([table[sample][key] for sample in offered]),
        chosen=np.array([max(table[sample], key=lambda k: table[sample][k]) == key for sample in offered], dtype=bool),
    )


def _interval(per_seed: Sequence[_Answers], of_class: bool, groups: Mapping[str, str]) -> Interval:
    """Of the share of the class's questions (or of the others) that were answered rightly, means over seeds."""
    rights: dict[str, list[float]] = {}
    for seed in per_seed:
        for sample, is_class, chosen in zip(seed.samples, seed.is_class, seed.chosen, strict=True):
            if is_class == of_class:
                rights.setdefault(sample, []).append(float(chosen == of_class))
    return share_interval([fmean(values) for values in rights.values()], list(rights), groups)


def share_interval(rights: Sequence[float], samples: Sequence[str], groups: Mapping[str, str]) -> Interval:
    """The interval of the mean of marks: cluster-robust where a patient is known, else Wilson's.

    Args:
        rights: between 0 and 1, a question (or an answer of one seed) each.
        samples: its id.
        groups: patient (or image) by sample id, where known; a question of neither counts alone.
    """
    if num_groups(samples, groups) is None:
        return wilson_interval(min(sum(rights), len(rights)), len(rights))
    return clustered_interval(rights, [_group(sample, groups) for sample in samples])[0]


def num_groups(samples: Sequence[str], groups: Mapping[str, str]) -> int | None:
    """Clusters of questions: patients, images that several share, and each other question alone.

    None where neither a patient nor a shared image is known of any.
    """
    if not any(sample in groups for sample in samples):
        return None
    return len({_group(sample, groups) for sample in samples})


def _group(sample: str, groups: Mapping[str, str]) -> str:
    return f"group {groups[sample]}" if sample in groups else f"question {sample}"


def auroc(score: NDArray[np.float64], is_class: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic, as the rank statistic of Mann and Whitney (ties count half)."""
    from scipy.stats import rankdata

    positive = int(is_class.sum())
    ranks = rankdata(score)
    above = float(ranks[is_class].sum()) - positive * (positive + 1) / 2
    return above / (positive * (len(score) - positive))


def _gold(question: ClosedQuestion) -> str:
    return option_text_key(question.options[question.answer_index])
