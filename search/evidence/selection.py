"""The recommended composition and the evidence for it, in numbers and in one honest sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import canonical_json
from datasets_spec.errors import UserError
from search.evidence.confirmation.comparisons import MEAN, SplitEvidence
from search.evidence.confirmation.constraints import compute_constraints, constraints_sentence
from search.evidence.confirmation.missing_comparators import missing_comparators
from search.evidence.confirmation.racing import best_finalist
from search.evidence.confirmation.training_cost import front_sentence
from search.evidence.finding.finding import Finding, finding_of
from search.evidence.finding.prospects import compute_prospects
from search.evidence.forgetting import compute_retained, retained_sentence
from search.evidence.mix_file import write_mix
from search.evidence.outcomes import Outcomes
from search.ledger.records import Record, finalist_rank, of_arm, recipe_identity, scored_on, trials_of
from search.space.composition import Composition
from search.statistics.training_noise import SeedVariance
from search.statistics.verdicts import ALPHA
from search.statistics.winners_curse import winners_curse
from search.study.run_dir import RunDir, RunFile
from search.study.sections.constraints import ConstraintsSection
from search.vocabulary import COUNTED, Exposure, Stage, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionRules:
    """How one finalist is chosen, and what is asked of it.

    Attributes:
        targets: the evaluation sets of the objective.
        objective: its name, for the reader.
        chosen: the arm of the recommended finalist, when the study's objective has chosen it.
        retained: evaluation sets that the backbone does well on; losing them is told.
        constraints: what is asked of the selection.
        kept_sets: evaluation sets on which only so much may be lost.
        eval_sets: all sets of which something is asked; `targets` where none are given.
        cheaper_within: points by which a finalist that is cheaper to train may be below the best on `confirm`.
        front: trials that are the best for their cost, to be told.
        no_image: by split, what is reached on its questions of an evaluation set without their images, as a share;
            splits and sets may be missing.
        comparators: what is asked to be compared with.
        seed: of the resampling.
        alpha: chance of one false claim or more on a split.
    """

    targets: Sequence[str]
    objective: str
    chosen: str | None = None
    retained: Sequence[str] = ()
    constraints: ConstraintsSection | None = None
    kept_sets: Sequence[str] = ()
    eval_sets: Sequence[str] = ()
    cheaper_within: float | None = None
    front: Sequence[Mapping[str, Any]] | None = None
    no_image: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    comparators: Sequence[str] = ()
    seed: int = 0
    alpha: float = ALPHA


def build_selection(records: Sequence[Record], outcomes: Outcomes, rules: SelectionRules) -> dict[str, Any]:
    """The content of selection.json.

    One finalist is recommended: `rules.chosen`, or that with the best mean accuracy on `confirm`. It is compared with
    every comparator on `confirm` (p-values adjusted for the choice among finalists) and, where they were scored,
    on `sealed`, the only figures that had no part in the choice.

    Args:
        records: the ledger's records.
        outcomes: of their questions.
        rules: how it is chosen, and what is asked of it.

    Raises:
        UserError: no finalist (or not the chosen one) was scored on `confirm` for every target.
    """
    trials, targets, seed, alpha = trials_of(records), rules.targets, rules.seed, rules.alpha
    confirm = SplitEvidence(trials, outcomes, targets, "confirm", seed=seed)
    sealed = SplitEvidence(trials, outcomes, targets, "sealed", seed=seed)
    scored = _scored_finalists(confirm, finalists_of(trials), rules.chosen)
    best = rules.chosen or best_finalist(confirm, list(scored), within=rules.cheaper_within)
    chosen = best or next(iter(scored))
    confirmed = confirm.comparisons(chosen, num_choices=len(scored), alpha=alpha)
    opened = sealed.comparisons(chosen, alpha=alpha)
    content: dict[str, Any] = {
        **_trained(next(r for r in of_arm(trials, chosen) if r["status"] == Status.finished), targets),
        "objective": rules.objective,
        "arm": chosen,
        "estimates": {"confirm": confirm.estimates(chosen), "sealed": sealed.estimates(chosen)},
        "estimand": estimand(targets),
        "optimism": {
            "search": search_optimism(
                trials, outcomes, targets, training_shift=confirm.training_shift(list(scored)), seed=seed
            ),
            "confirm": _choice_optimism(confirm, list(scored), scored[chosen]),
        },
        "comparisons": [comparison.as_dict() for comparison in (*confirmed, *opened)],
        "not_compared": missing_comparators(
            rules.comparators,
            {entry.comparator for entry in opened or confirmed if entry.eval_set == MEAN},
            records,
            chosen,
        ),
        "retained": compute_retained(trials, outcomes, chosen, rules.retained, seed=seed, alpha=alpha),
        "num_compared": count_compared(trials),
        "num_finalists": len(scored),
        "alpha": alpha,
    }
    content |= _asked(trials, outcomes, rules, content)
    prospects = compute_prospects(
        trials,
        outcomes,
        targets,
        arm_sizes=(sealed if opened else confirm).arm_sizes(chosen),
        leading=opened or confirmed,
        num_trials=content["num_compared"],
    )
    finding = finding_of(content, no_image=rules.no_image, prospects=prospects)
    return content | {"finding": finding.as_dict(), "verdict": _verdict_sentences(finding, content)}


def _trained(trial: Record, targets: Sequence[str]) -> dict[str, Any]:
    """What the chosen finalist was trained on, how, and what it had seen of the targets."""
    return {
        "composition": dict(trial["composition"]),
        "recipe": dict(trial.get("recipe") or {}),
        "exposures": exposures_of(trial, targets),
    }


def _asked(
    trials: Sequence[Record], outcomes: Outcomes, rules: SelectionRules, content: Mapping[str, Any]
) -> dict[str, Any]:
    """Front and constraints, of a study that asks for them."""
    asked: dict[str, Any] = {}
    if rules.front is not None:
        asked["front"] = [dict(entry) for entry in rules.front]
    if rules.constraints is not None:
        sets = rules.eval_sets or rules.targets
        asked["constraints"] = compute_constraints(
            rules.constraints,
            splits=[SplitEvidence(trials, outcomes, sets, split, seed=rules.seed) for split in ("sealed", "confirm")],
            chosen=content["arm"],
            losses=compute_retained(
                trials,
                outcomes,
                content["arm"],
                rules.kept_sets,
                num_choices=content["num_finalists"],
                seed=rules.seed,
                alpha=rules.alpha,
            ),
            no_image=rules.no_image,
            num_choices=content["num_finalists"],
            alpha=rules.alpha,
        )
    return asked


def _scored_finalists(confirm: SplitEvidence, finalists: Sequence[str], chosen: str | None) -> dict[str, float]:
    """Mean accuracy on `confirm` of the finalists that were scored on every target, by arm."""
    scored = {arm: accuracy for arm in finalists if (accuracy := confirm.accuracy(arm)) is not None}
    if not scored or (chosen is not None and chosen not in scored):
        raise UserError(
            f"{chosen or 'no finalist'} was {'not ' if chosen else ''}scored on confirm for every target",
            hint="`recombine status RUN` lists the failures",
        )
    return scored


def _verdict_sentences(finding: Finding, content: Mapping[str, Any]) -> str:
    """Every comparison, what the best was the best of, what it had seen and what it lost."""
    number = content["num_compared"]
    searched = f"{number} candidate{'s were' if number != 1 else ' was'} compared in the search."
    said = (
        finding.detail,
        searched,
        exposure_sentence(content["exposures"]),
        retained_sentence(content["retained"]),
        constraints_sentence(content.get("constraints") or ()),
        front_sentence(content.get("front") or ()),
    )
    return " ".join(filter(None, said))


def exposures_of(trial: Record, targets: Sequence[str]) -> dict[str, str]:
    """What a trial had seen of each target's key, as it was recorded when it was scored."""
    return {e["eval_set"]: str(e["exposure"]) for e in trial["evaluations"] if e["eval_set"] in targets}


def exposure_sentence(exposures: Mapping[str, str]) -> str:
    """Say where a selection's accuracy is not compositional generalisation; "" where it is on every target."""
    seen = {target: exposure for target, exposure in exposures.items() if exposure != Exposure.held_out}
    if not seen:
        return ""
    listed = ", ".join(f"{target} ({exposure})" for target, exposure in sorted(seen.items()))
    return f"Not compositional generalisation, because the selection has trained on the target's own rows: {listed}."


def count_compared(trials: Iterable[Record]) -> int:
    """How many different candidates (composition and recipe) the search scored: what the best was the best of."""
    return len(
        {
            canonical_json([record.get("composition"), recipe_identity(record)])
            for record in trials
            if record["stage"] in (Stage.search, Stage.reused) and record.get("evaluations")
        }
    )


def estimand(targets: Sequence[str]) -> str:
    """What the figures of a selection estimate, in words."""
    over = targets[0] if len(targets) == 1 else f"the mean over {len(targets)} targets"
    return (
        f"The accuracy on {over} of a fine-tune on this composition with this recipe, expected over training seeds and "
        "over questions (or patients, where they are known) like those of the split; of this backbone, and of no other."
    )


def search_optimism(
    trials: Sequence[Record],
    outcomes: Outcomes,
    targets: Sequence[str],
    *,
    training_shift: SeedVariance,
    seed: int = 0,
) -> dict[str, Any] | None:
    """By how much the best score of the search overstates itself (`winners_curse`); None with few trials.

    Args:
        trials: the ledger's trial records.
        outcomes: their per-question outcomes.
        targets: the evaluation sets of the objective.
        training_shift: by how much a run moves all answers, from replicated trials; whether it is known is said.
        seed: of the draws.
    """
    searched = sorted(
        (r for r in trials if r["stage"] == Stage.search),
        key=lambda r: (r["proposal_index"], r["train_id"]),  # draws go by place, and trials end in any order
    )
    found = [r for r in searched if all(_counts(scored_on(r, t, "search")) for t in targets)]
    arms = {t: [outcomes.of_arm([record], t, "search") for record in found] for t in targets}
    matrices = [np.concatenate([arm.right for arm in arms[t] if arm is not None]) for t in targets if found]
    curse = winners_curse(matrices, training_shift=training_shift.variance, seed=seed)
    if curse is None:
        return None
    return {
        "observed": curse.observed,
        "expected": curse.expected,
        "optimism": curse.optimism,
        "num_trials": curse.num_trials,
        "reliability": curse.reliability,
        "has_seed_noise": training_shift.freedom > 0,
    }


def _counts(evaluation: Record | None) -> bool:
    return evaluation is not None and evaluation["exposure"] in COUNTED


def _choice_optimism(confirm: SplitEvidence, finalists: Sequence[str], observed: float) -> dict[str, Any] | None:
    """What the choice among the finalists has added to the chosen one's accuracy on `confirm`."""
    expected = confirm.cross_fitted(finalists)
    if expected is None:
        return None
    return {
        "observed": observed,
        "expected": expected,
        "optimism": observed - expected,
        "num_finalists": len(finalists),
    }


def finalists_of(trials: Iterable[Record]) -> list[str]:
    """The arms of finalists, by their rank in the search."""
    ranks = {arm: rank for record in trials if (rank := finalist_rank(arm := str(record.get("arm")))) is not None}
    return sorted(ranks, key=lambda arm: ranks[arm])


def write_selection(
    run_dir: RunDir, selection: Mapping[str, Any], *, order_seed: int, store_fingerprint: str
) -> tuple[Path, Path]:
    """Write `selection.json` and `mix.yaml` into RUN/selection, each atomically.

    Args:
        run_dir: the study directory.
        selection: what `build_selection` returned.
        order_seed: seed of the subsets' order in the store.
        store_fingerprint: of the store.

    Returns:
        The paths of both files.
    """
    composition = Composition.from_json(selection["composition"])
    write_mix(run_dir / RunFile.mix, composition, order_seed=order_seed, store_fingerprint=store_fingerprint)
    text = json.dumps(selection, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    replace_text(run_dir / RunFile.selection, text + "\n")
    return run_dir / RunFile.selection, run_dir / RunFile.mix
