"""Which differences a planned study can see: its questions, seeds and comparators against the noise of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.evidence.finding.measured_noise import measured_prospects
from search.planning.facts import PlanFacts
from search.statistics.power import (
    ASSUMED_WORTH_SD,
    Detection,
    Noise,
    detectable,
    expected_gain,
    questions_needed,
    seeds_needed,
    trial_noise,
    trials_needed,
)
from search.study.study import Study

ASSUMED_QUESTIONS = 150
SHOWN_QUESTIONS = (100, 200, 400, 800, 1600, 3200)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectableDifferences:
    """What a study can see.

    Attributes:
        noise: of its trials.
        detections: by split, what its comparisons can see there; none where rows are not known yet.
        num_targets: over which it judges.
        num_seeds: of its arms.
        num_further: seeds that the chosen finalist alone has beside.
        num_comparisons: judged together.
        num_trials: of its search.
        num_search_questions: of one target; assumed before the data are prepared.
        worth_sd: spread of what compositions are worth.
        is_worth_measured: whether trials of the search have shown it.
    """

    noise: Noise
    detections: Mapping[str, Detection]
    num_targets: int
    num_seeds: int
    num_further: int
    num_comparisons: int
    num_trials: int
    num_search_questions: int
    worth_sd: float
    is_worth_measured: bool


def compute_detectable(study: Study, facts: PlanFacts) -> DetectableDifferences:
    """Work out what a study can see, from its own finished trials or from stated assumptions.

    Args:
        study: the study.
        facts: what is known of it.
    """
    spec, counts = study.spec, facts.counts
    noise, worth_sd = measured_prospects(facts.trials, facts.outcomes, spec.objective_sets)
    seeds = spec.confirm.seeds if spec.design is None else spec.design.seeds
    num_further = len(spec.confirm.further_seeds) if spec.design is None else 0
    splits = ("confirm", "sealed") if spec.design is None else (spec.design.split,)
    num_comparisons = len(spec.confirm.comparators) + 1
    if spec.design is not None:
        num_comparisons = len(facts.design_rows)
    detections = {}
    for split in splits:
        questions = [counts.get(name, {}).get(split, 0) for name in spec.objective_sets]
        if counts and min(questions) > 0:
            choices = spec.confirm.num_finalists if split == "confirm" and spec.design is None else 1
            detections[split] = detectable(
                noise,
                num_seeds=len(seeds),
                num_questions=round(len(questions) / sum(1 / n for n in questions)),  # variances add: harmonic mean
                num_targets=len(questions),
                num_comparisons=num_comparisons * choices,
                num_further=num_further,
            )
    return DetectableDifferences(
        noise=noise,
        detections=detections,
        num_targets=len(spec.objective_sets),
        num_seeds=len(seeds),
        num_further=num_further,
        num_comparisons=num_comparisons,
        num_trials=spec.strategy.num_trials,
        num_search_questions=min((counts.get(name, {}).get("search", 0) for name in spec.objective_sets), default=0)
        or ASSUMED_QUESTIONS,
        worth_sd=ASSUMED_WORTH_SD if worth_sd is None else worth_sd,
        is_worth_measured=worth_sd is not None,
    )


def detectable_lines(differences: DetectableDifferences) -> list[str]:
    """What a study can see, in words."""
    noise = differences.noise
    source = f"measured on {noise.num_arms} arms of this study" if noise.is_measured else "assumed before any trial"
    beside = f" and {differences.num_further} more of the chosen one" if differences.num_further else ""
    lines = [
        f"sees, four times in five, on {split}: a difference of {100 * found.difference:.1f} points "
        f"({found.num_targets} target(s) of {found.num_questions} questions, {found.num_seeds} seeds an arm{beside}, "
        f"{differences.num_comparisons} comparisons judged together)"
        for split, found in differences.detections.items()
    ]
    if not lines:
        lines = ["what it can see is not known before `recombine data prepare` has counted the questions"]
    lines.append(
        f"  assumes training noise of {100 * noise.shift_sd:.1f} points a run and a variance of {noise.pairing:.2f} of "
        f"a question's paired difference ({source})"
    )
    return lines


def needed_rows(differences: DetectableDifferences, difference: float) -> list[list[str]]:
    """Seeds that it takes at several numbers of questions, and the questions at the study's own seeds.

    Args:
        differences: of the study.
        difference: to be seen, as a share.
    """
    shared = {"num_targets": differences.num_targets, "num_comparisons": differences.num_comparisons}
    rows = []
    for number in SHOWN_QUESTIONS:
        seeds = seeds_needed(differences.noise, difference, num_questions=number, **shared)
        rows.append([f"{number}", f"{seeds}" if seeds is not None else "no number up to 20"])
    further = differences.num_further
    own = questions_needed(
        differences.noise, difference, num_seeds=differences.num_seeds, num_further=further, **shared
    )
    text = f"{own}" if own is not None else "no number: training noise alone hides it"
    rows.append([text, f"{differences.num_seeds} (the study's own)"])
    return rows


def trials_line(differences: DetectableDifferences, gain: float) -> str:
    """How many trials a search needs to be expected that much better than a composition drawn at random.

    Args:
        differences: of the study.
        gain: over the mean composition, as a share.
    """
    noise_sd = trial_noise(
        differences.noise, num_questions=differences.num_search_questions, num_targets=differences.num_targets
    )
    needed = trials_needed(gain, worth_sd=differences.worth_sd, noise_sd=noise_sd)
    expected = expected_gain(differences.num_trials, worth_sd=differences.worth_sd, noise_sd=noise_sd)
    source = "measured in this study's search" if differences.is_worth_measured else "assumed"
    return (
        f"trials: {needed if needed is not None else 'more than 1,000'} of random search are expected to find a "
        f"composition {100 * gain:.1f} points above the mean one; {differences.num_trials} find {100 * expected:.1f} "
        f"(compositions spread by {100 * differences.worth_sd:.1f} points, {source})"
    )
