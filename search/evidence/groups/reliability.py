"""How probabilities and right answers go together: bins of the reliability curve, expected calibration error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from datasets_spec.sample import option_text_key
from search.evidence.groups.class_results import ClosedQuestion, num_groups, option_probabilities, share_interval

if TYPE_CHECKING:
    import pandas as pd

NUM_BINS = 10  # equally wide (Guo et al., arXiv:1706.04599, use 15 on far more questions)
ALL_SETS = "all"


class ConfidentAnswer(NamedTuple):
    """One answer of one seed to a closed question: the probability of the chosen option, and whether it is right."""

    sample: str
    confidence: float
    is_right: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """The answers whose probability lies between two bounds, over all seeds of an arm.

    Attributes:
        eval_set: name of the evaluation set, or `ALL_SETS`.
        low: lower bound of the probability.
        high: upper bound.
        confidence: mean probability of the chosen option.
        accuracy: how many of them are right, as a share.
        ci_low: of the accuracy; cluster-robust over patients where known, else over questions.
        ci_high: the same.
        n: answers.
        num_questions: that they answer; fewer than answers, where an arm has several seeds.
        num_groups: `class_results.num_groups` of these.
    """

    arm: str
    eval_set: str
    low: float
    high: float
    confidence: float
    accuracy: float
    ci_low: float
    ci_high: float
    n: int
    num_questions: int
    num_groups: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def confident_answers(frames: Iterable[pd.DataFrame], questions: Mapping[str, ClosedQuestion]) -> list[ConfidentAnswer]:
    """The answers that have a probability for each option; none where an arm has no probabilities.

    Args:
        frames: outcomes of each seed on one evaluation set and split (columns sample_id, log_probs).
        questions: by sample id.
    """
    answers = []
    for frame in frames:
        for sample, probabilities in option_probabilities(frame, questions).items():
            question = questions[sample]
            chosen = max(probabilities, key=lambda key: probabilities[key])
            is_right = chosen == option_text_key(question.options[question.answer_index])
            answers.append(ConfidentAnswer(sample, probabilities[chosen], is_right))
    return answers


def reliability_bins(
    answers: Sequence[ConfidentAnswer], groups: Mapping[str, str], *, arm: str, eval_set: str
) -> list[ReliabilityBin]:
    """The bins that hold an answer, in order.

    Args:
        answers: of one arm.
        groups: patient by sample id, where known. Seeds answer the same questions: without a patient the answers to
            one question belong together.
        arm: name written into the results.
        eval_set: the same.
    """
    clusters = {answer.sample: groups.get(answer.sample, f"question {answer.sample}") for answer in answers}
    by_bin: dict[int, list[ConfidentAnswer]] = {}
    for answer in answers:
        by_bin.setdefault(_bin(answer.confidence), []).append(answer)
    found = []
    for number in sorted(by_bin):
        inside = by_bin[number]
        samples = [answer.sample for answer in inside]
        rights = [float(answer.is_right) for answer in inside]
        interval = share_interval(rights, samples, clusters)
        found.append(
            ReliabilityBin(
                arm=arm,
                eval_set=eval_set,
                low=number / NUM_BINS,
                high=(number + 1) / NUM_BINS,
                confidence=float(np.mean([answer.confidence for answer in inside])),
                accuracy=float(np.mean(rights)),
                ci_low=interval.low,
                ci_high=interval.high,
                n=len(inside),
                num_questions=len(set(samples)),
                num_groups=num_groups(samples, groups),
            )
        )
    return found


def expected_calibration_error(answers: Sequence[ConfidentAnswer]) -> float | None:
    """Mean distance between probability and share of right answers, over the bins; None without an answer."""
    if not answers:
        return None
    by_bin: dict[int, list[ConfidentAnswer]] = {}
    for answer in answers:
        by_bin.setdefault(_bin(answer.confidence), []).append(answer)
    gaps = [abs(sum(a.confidence - a.is_right for a in inside)) for _, inside in sorted(by_bin.items())]
    return float(sum(gaps)) / len(answers)


def _bin(confidence: float) -> int:
    return min(int(confidence * NUM_BINS), NUM_BINS - 1)
