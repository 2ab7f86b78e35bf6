"""Which case a study's evidence is: decided here once, for the page, the terminal, the Markdown and selection.json.

Several cases may hold at once. The first of `FindingCase` that holds gives the headline and the next step, bad news
first, because who reads one line only must not be led to train on something that fails elsewhere; every other that
holds and warns of something is a caution beside it. Only the last two cases may say what to train on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from datasets_spec.store.clusters import FEW_CLUSTERS
from search.evidence.confirmation.comparisons import MEAN
from search.statistics.verdicts import Verdict
from search.vocabulary import COMPARATORS

UNTRAINED = "baseline"


class FindingCase(StrEnum):
    """What a study found, in order of precedence."""

    nothing_compared = "nothing_compared"
    worse_than_untrained = "worse_than_untrained"
    not_above_no_image = "not_above_no_image"
    worse_than_some = "worse_than_some"
    not_told_apart = "not_told_apart"
    target_left_behind = "target_left_behind"
    forgets = "forgets"
    comparison_unfinished = "comparison_unfinished"
    better_than_some = "better_than_some"
    better_than_all = "better_than_all"


# Cases that warn whatever else holds. That nothing was told apart, or something was, is in the detail anyway.
CAUTIONS = (
    FindingCase.worse_than_untrained,
    FindingCase.not_above_no_image,
    FindingCase.worse_than_some,
    FindingCase.target_left_behind,
    FindingCase.forgets,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoImage:
    """An accuracy beside what is reached there without the image, as shares."""

    eval_set: str
    accuracy: float
    ci_low: float
    ci_high: float
    no_image: float

    @property
    def is_above(self) -> bool:
        """Whether the interval lies above: the images have told something."""
        return self.ci_low > self.no_image

    @property
    def is_below(self) -> bool:
        """Whether the interval lies below: what was learned leads away from the answers."""
        return self.ci_high < self.no_image


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingFacts:
    """What the case is decided by, from the entries of selection.json and the baselines of run.json.

    Attributes:
        composition: what was selected, samples by subset.
        split: that the comparisons were made on, the strongest there is.
        num_targets: over which the mean is taken.
        better: comparators that the selection is better than on the mean over targets, as the verdicts say; entries of
            selection.json, in the order in which they are shown.
        same: comparators that it was not told from.
        worse: comparators that it is worse than.
        mean: the mean accuracy beside the mean of what is reached without the images; None where that is not known.
        left_behind: targets whose accuracy is not above what is reached without their images.
        lost: retained evaluation sets that it is worse on than the untrained backbone.
        missing: what it was to be compared with and was not.
        few_clusters: estimates of targets whose questions come from few patients, or images.
    """

    composition: Mapping[str, int]
    split: str
    num_targets: int
    better: tuple[Mapping[str, Any], ...]
    same: tuple[Mapping[str, Any], ...]
    worse: tuple[Mapping[str, Any], ...]
    mean: NoImage | None
    left_behind: tuple[NoImage, ...]
    lost: tuple[Mapping[str, Any], ...]
    missing: tuple[Mapping[str, Any], ...] = ()
    few_clusters: tuple[Mapping[str, Any], ...] = ()

    @property
    def beats_untrained(self) -> bool:
        """Whether training on it was shown to be better than not training, or nobody has asked."""
        return UNTRAINED not in {entry["comparator"] for entry in (*self.same, *self.worse)}

    @property
    def is_one_seed(self) -> bool:
        """Whether no comparison could show anything, because training noise is unknown."""
        return bool(self.same) and all(entry.get("note") for entry in (*self.better, *self.same, *self.worse))

    @property
    def detectable(self) -> float:
        """The largest of the differences that the comparisons would have found four times in five, as a share."""
        known = [entry.get("minimum_detectable") for entry in (*self.better, *self.same, *self.worse)]
        return max((float(value) for value in known if value is not None), default=1.0)


def facts_of(selection: Mapping[str, Any], no_image: Mapping[str, Mapping[str, float]]) -> FindingFacts:
    """The facts, from the content of a selection.json of any version.

    Args:
        selection: its content.
        no_image: by split, what is reached on its questions of an evaluation set without their images, as a share; sets
            may be missing. Studies of before know `confirm` only, which then stands for `sealed`.
    """
    entries = selection.get("comparisons") or ()
    estimates = selection.get("estimates") or {}
    splits = [name for name in ("sealed", "confirm") if any(entry["split"] == name for entry in entries)]
    split = splits[0] if splits else "sealed" if estimates.get("sealed") else "confirm"
    place = {name: k for k, name in enumerate(COMPARATORS)}
    means = [entry for entry in entries if entry["split"] == split and entry["eval_set"] == MEAN]
    means.sort(key=lambda entry: place.get(entry["comparator"], len(place)))
    scored = {entry["eval_set"]: entry for entry in estimates.get(split) or ()}
    targets = [name for name in scored if name != MEAN]
    reached = no_image.get(split) or no_image.get("confirm") or {}
    beside = {t: _beside(scored[t], reached[t]) for t in targets if t in reached}
    mean = None
    if MEAN in scored and targets and len(beside) == len(targets):
        mean = _beside(scored[MEAN], sum(reached[t] for t in targets) / len(targets))
    return FindingFacts(
        composition=selection.get("composition") or {},
        split=split,
        num_targets=len(targets),
        better=tuple(entry for entry in means if entry["verdict"] == Verdict.better),
        same=tuple(entry for entry in means if entry["verdict"] == Verdict.no_difference_detected),
        worse=tuple(entry for entry in means if entry["verdict"] == Verdict.worse),
        mean=mean,
        left_behind=tuple(found for found in beside.values() if not found.is_above),
        lost=tuple(entry for entry in selection.get("retained") or () if entry["verdict"] == Verdict.worse),
        missing=tuple(selection.get("not_compared") or ()),
        few_clusters=tuple(
            scored[t]
            for t in targets
            if (number := scored[t].get("clusters")) is not None and number < min(FEW_CLUSTERS, scored[t]["n"])
        ),
    )


def _beside(estimate: Mapping[str, Any], no_image: float) -> NoImage:
    return NoImage(
        eval_set=str(estimate["eval_set"]),
        accuracy=float(estimate["accuracy"]),
        ci_low=float(estimate["ci_low"]),
        ci_high=float(estimate["ci_high"]),
        no_image=no_image,
    )


def cases_of(facts: FindingFacts) -> tuple[FindingCase, ...]:
    """Every case that holds, the one that gives the headline first."""
    compared = [*facts.better, *facts.same, *facts.worse]
    is_below = facts.mean is not None and not facts.mean.is_above
    holds = {
        FindingCase.nothing_compared: not compared,
        FindingCase.worse_than_untrained: any(entry["comparator"] == UNTRAINED for entry in facts.worse),
        FindingCase.not_above_no_image: is_below,
        FindingCase.worse_than_some: any(entry["comparator"] != UNTRAINED for entry in facts.worse),
        FindingCase.not_told_apart: bool(compared) and not facts.better and not facts.worse,
        # Where even the mean is not above, the targets are its parts and no news.
        FindingCase.target_left_behind: bool(facts.left_behind) and not is_below,
        FindingCase.forgets: bool(facts.lost),
        FindingCase.comparison_unfinished: any(entry["may_come"] for entry in facts.missing),
        FindingCase.better_than_some: bool(facts.better) and bool(facts.same or facts.worse),
        FindingCase.better_than_all: bool(facts.better) and not facts.same and not facts.worse,
    }
    return tuple(case for case in FindingCase if holds[case])
