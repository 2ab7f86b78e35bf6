"""The confirmation: the best few with fresh seeds on `confirm`, and what the chosen one is compared with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.evidence.confirmation.comparisons import SplitEvidence
from search.evidence.confirmation.missing_comparators import comparator_decision, is_selection
from search.evidence.confirmation.racing import FIRST_LOOK, best_finalist, finalists_left
from search.evidence.outcomes import outcomes_of
from search.ledger.records import Record, finalist_arm, finalist_rank, trials_of
from search.phases import comparators
from search.phases.transfer import plan_controls
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.study.spec import StudySpec
from search.vocabulary import Stage
from trainers.recipe import Recipe

NOTHING_SCORED = (
    "WARNING: no finalist was scored on confirm, so that nothing is selected; `recombine status RUN` lists the "
    "failures, and `recombine run` (or `recombine submit`) tries once more what failed, or ran out of memory or time"
)


def run_confirm(run: StudyRun, best: Sequence[Candidate]) -> dict[str, list[PlannedTrial]]:
    """Repeat the best few with fresh seeds on `confirm`, choose one, and run what it is compared with.

    Returns:
        The trials of the chosen finalist and of its comparators, by arm; none where no finalist was scored.
    """
    spec = run.spec
    finalists = with_begun(best, run.records(Stage.confirm), spec)[: spec.confirm.num_finalists]
    arms: dict[str, list[PlannedTrial]] = {}
    for rank, candidate in enumerate(finalists, start=1):
        recipe = spec.recipe_of(dict(candidate.recipe))
        arms[finalist_arm(rank)] = _confirm_arm(
            run, finalist_arm(rank), candidate.composition, recipe, spec.confirm.seeds
        )
    names = list(arms)
    run_finalists(run, arms, lambda seen: finalists_left(_evidence(run, seen), names, len(spec.confirm.seeds)))
    chosen = best_finalist(_evidence(run, run.records()), names, within=spec.confirm.cheaper_within)
    if chosen is None:
        run.say(NOTHING_SCORED)
        return {}
    selected = finalists[names.index(chosen)]
    recipe = spec.recipe_of(dict(selected.recipe))
    arms[chosen] += _confirm_arm(run, chosen, selected.composition, recipe, spec.confirm.further_seeds)
    run.run_list(arms[chosen])
    others = _comparator_arms(run, selected.composition, recipe)
    run.run_list([planned for planned_arm in others.values() for planned in planned_arm])
    return {chosen: arms[chosen], **others}


def with_begun(best: Sequence[Candidate], records: Sequence[Record], spec: StudySpec) -> list[Candidate]:
    """The candidates, best first, with finalists whose confirmation has begun at their ranks.

    Another version of the search may rank its results otherwise; an arm must stay one composition.

    Args:
        best: as the search ranks them now.
        records: of the confirmation's trials.
        spec: the study.
    """
    begun: dict[int, Candidate] = {}
    for record in records:
        rank = finalist_rank(str(record["arm"]))
        if rank is not None:
            searched = {name: record["recipe"][name] for name in spec.space.recipe.dimensions}
            begun[rank] = Candidate(Composition(record["composition"]), searched)
    others = iter([candidate for candidate in best if candidate not in begun.values()])
    ranked = [begun.get(rank) or next(others, None) for rank in range(1, len(best) + len(begun) + 1)]
    return [candidate for candidate in ranked if candidate is not None]


def _confirm_arm(
    run: StudyRun, arm: str, composition: Composition, recipe: Recipe, seeds: Sequence[int]
) -> list[PlannedTrial]:
    return [
        PlannedTrial(
            spec=run.factory.spec(composition, recipe, seed, ("confirm",)),
            stage=Stage.confirm,
            arm=arm,
            reason="fresh seed on confirm",
        )
        for seed in seeds
    ]


def run_finalists(
    run: StudyRun, arms: Mapping[str, list[PlannedTrial]], left_of: Callable[[Sequence[Record]], Collection[str]]
) -> None:
    """All seeds of all finalists; in a race one seed of each at a time, of those that `left_of` leaves.

    It is shown the records of so many seeds only, so that a study that was killed in a round goes on as it was.
    """
    seeds, left = run.spec.confirm.seeds, list(arms)
    if not run.spec.confirm.racing:
        run.run_list([planned for by_seed in arms.values() for planned in by_seed])
        return
    for number, seed in enumerate(seeds, start=1):
        run.run_list([planned for arm in left for planned in arms[arm] if planned.spec.seed == seed])
        if not FIRST_LOOK <= number < len(seeds):
            continue
        still = left_of([record for record in run.records() if record["seed"] in seeds[:number]])
        if given_up := [arm for arm in left if arm not in still]:
            run.decide(f"race: {', '.join(given_up)} given up after {number} of {len(seeds)} seeds")
        left = [arm for arm in left if arm in still]


def _evidence(run: StudyRun, records: Sequence[Record]) -> SplitEvidence:
    outcomes = outcomes_of(run.run_dir, run.spec.score)
    return SplitEvidence(records, outcomes, run.spec.objective_sets, "confirm", seed=run.spec.seed)


def _comparator_arms(run: StudyRun, selected: Composition, recipe: Recipe) -> dict[str, list[PlannedTrial]]:
    spec, rows = run.spec, run.train_rows
    arms: dict[str, list[PlannedTrial]] = {}
    if "control" in spec.confirm.comparators:
        for seed in spec.confirm.seeds:
            for planned in plan_controls(run, selected.total, recipe, seed, ("confirm",), Stage.control):
                arms.setdefault(planned.arm, []).append(planned)
    evidence = comparators.ComparatorEvidence(
        study=run.study,
        selected=selected,
        rows=rows,
        num_questions={name: run.store.count(name, "search") for name in spec.eval_sets},
        records=run.records(),
    )
    for name in spec.confirm.comparators:
        if name != "control" and (composition := comparator_of(run, name, evidence)) is not None:
            arms[name] = _confirm_arm(run, name, composition, recipe, spec.confirm.seeds)
    return arms


def comparator_of(run: StudyRun, name: str, evidence: comparators.ComparatorEvidence) -> Composition | None:
    """What a comparator trains on; None where there is none to compare with, which is told.

    One whose confirmation has begun stays what it is: repeats of the matrix may since have found another source best.
    """

    def decide(what: str) -> None:
        run.decide(comparator_decision(name, what))

    composition, selected = comparators.MAKERS[name](evidence), evidence.selected
    confirmed = (record for record in trials_of(evidence.records, Stage.confirm) if record["arm"] == name)
    if begun := next((Composition(record["composition"]) for record in confirmed), None):
        if composition != begun:
            decide(f"it stays {begun}, as its confirmation began; now it would be {composition}")
        composition = begun
    if composition is None:
        decide("there is none in this study")
        return None
    if composition == selected:
        decide(is_selection(selected))
        return None
    if leaked := comparators.leaks(evidence.study, name, composition):
        decide(f"refused, it trains on the own key of {', '.join(leaked)}, which is held out")
        return None
    if composition.total != selected.total:
        decide(f"{composition.total} samples against {selected.total}, not matched")
    return composition
