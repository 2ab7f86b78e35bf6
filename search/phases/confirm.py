"""The phases of a study: baseline, search, transfer matrix, confirmation, sealed figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError
from search.engine.rungs import rung_steps
from search.engine.sources import StrategySource
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.evidence.comparisons import SplitEvidence
from search.evidence.outcomes import Outcomes, control_arm
from search.outcome_files import outcomes_loader
from search.phases import comparators
from search.sealed_openings import earlier_openings, note_opening
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import build_strategy
from search.strategy_context import context_of, scores_of, with_recommended
from search.study.objective import distinct, objective_values, ranked
from search.vocabulary import Stage, Status
from trainers.recipe import Recipe


def run_baseline(run: StudyRun) -> None:
    """Score the untrained backbone once; every later trial is compared with it.

    Raises:
        UserError: it could not be scored; no trial could be either.
    """
    planned = run.factory.baseline()
    run.run_list([planned])
    record = run.records(Stage.baseline)[-1]
    if record["status"] != Status.finished:
        raise UserError(
            f"the backbone could not be scored: {record['error'] or record['status']}",
            hint="`recombine doctor` checks the machine; `recombine data check` the data",
        )


def run_search(run: StudyRun) -> list[Candidate]:
    """Let the strategy spend its trials; return the candidates with a value, best first.

    Raises:
        UserError: not one trial has a value.
    """
    spec = run.spec

    def build(candidate: Candidate, index: int, reason: str, seed: int) -> PlannedTrial:
        recipe = spec.recipe_of(dict(candidate.recipe))
        return PlannedTrial(
            spec=run.factory.spec(candidate.composition, recipe, seed, ("search",), rungs=rung_steps(spec, recipe)),
            stage=Stage.search,
            arm=f"proposal-{index}",
            strategy=spec.strategy.name,
            proposal_index=index,
            reason=reason,
            searched=dict(candidate.recipe),
        )

    context = context_of(run.study, run.store, run.ledger.records())
    strategy = build_strategy(
        spec.strategy.name, space=spec.space, seed=spec.seed, num_objectives=spec.num_objectives, context=context
    )
    source = StrategySource(
        strategy,
        run.ledger,
        num_trials=spec.strategy.num_trials,
        max_concurrent=spec.execution.max_concurrent,
        deterministic=spec.deterministic,
        build=build,
        values=lambda record: objective_values(spec, record),
        scores=lambda record: scores_of(record, score=spec.score),
        seeds=spec.search_seeds,
    )
    run.run_source(source)
    observations = source.observations()
    known = [observation for observation in context.known if spec.space.contains(observation.candidate)]
    best = distinct(observation.candidate for observation in ranked([*observations.values(), *known]))
    if not best:
        raise UserError(
            "no trial of the search has a value: all failed, or all trained on a target's own key",
            hint="`recombine status RUN` lists the failures",
        )
    best, decision = with_recommended(strategy, [observations[i] for i in sorted(observations)], best)
    if decision is not None:
        run.decide(decision)
    return best


def run_transfer(run: StudyRun) -> None:
    """Train every source alone, and for every target a control of the same samples and steps."""
    spec = run.spec
    if not spec.transfer.enabled:
        return
    rows = run.train_rows
    sizes = {s: min(spec.single_num_samples, rows[s]) for s in spec.space.composition.allowed}
    planned = [
        PlannedTrial(
            spec=run.factory.spec(Composition({source: count}), spec.recipe, seed, ("search",)),
            stage=Stage.single,
            arm=f"single:{source}",
            reason="a row of the transfer matrix",
        )
        for seed in spec.transfer.seeds
        for source, count in sizes.items()
    ]
    for seed in spec.transfer.seeds:
        for count in sorted(set(sizes.values())):
            planned += plan_controls(run, count, spec.recipe, seed, ("search",), Stage.control)
    run.run_list(planned)


def plan_controls(
    run: StudyRun, num_samples: int, recipe: Recipe, seed: int, splits: Sequence[str], stage: Stage
) -> list[PlannedTrial]:
    """Return one matched control for every target: same number of samples and steps, from unrelated subsets."""
    planned: list[PlannedTrial] = []
    for eval_set in run.spec.eval_sets:
        composition = run.factory.control(eval_set, num_samples)
        if composition is None:
            run.decide(f"{eval_set}: no unrelated subset, so there is no control and no CG gain")
            continue
        if composition.total < num_samples:
            run.decide(
                f"{eval_set}: unrelated subsets have {composition.total} of {num_samples} samples; "
                "the control is not matched, so no CG gain is given (add control_sources)"
            )
            continue
        spec = run.factory.spec(composition, recipe, seed, splits)
        planned.append(
            PlannedTrial(spec=spec, stage=stage, arm=control_arm(eval_set), reason=f"matched control of {eval_set}")
        )
    return planned


def run_confirm(run: StudyRun, best: Sequence[Candidate]) -> dict[str, list[PlannedTrial]]:
    """Repeat the best few with fresh seeds on `confirm`, choose one, and run what it is compared with.

    Returns:
        The trials of the chosen finalist and of its comparators, by arm.

    Raises:
        UserError: no finalist finished.
    """
    spec = run.spec
    finalists = list(best[: spec.confirm.num_finalists])
    arms: dict[str, list[PlannedTrial]] = {}
    for rank, candidate in enumerate(finalists, start=1):
        recipe = spec.recipe_of(dict(candidate.recipe))
        arms[f"finalist-{rank}"] = _confirm_arm(run, f"finalist-{rank}", candidate.composition, recipe)
    run.run_list([planned for planned_arm in arms.values() for planned in planned_arm])
    chosen = _best_finalist(run, list(arms))
    selected = finalists[int(chosen.removeprefix("finalist-")) - 1]
    recipe = spec.recipe_of(dict(selected.recipe))
    others = _comparator_arms(run, selected.composition, recipe)
    run.run_list([planned for planned_arm in others.values() for planned in planned_arm])
    return {chosen: arms[chosen], **others}


def _confirm_arm(run: StudyRun, arm: str, composition: Composition, recipe: Recipe) -> list[PlannedTrial]:
    return [
        PlannedTrial(
            spec=run.factory.spec(composition, recipe, seed, ("confirm",)),
            stage=Stage.confirm,
            arm=arm,
            reason="fresh seed on confirm",
        )
        for seed in run.spec.confirm.seeds
    ]


def _best_finalist(run: StudyRun, arms: Sequence[str]) -> str:
    """Return the arm with the highest mean accuracy on `confirm`; ties go to the better rank in the search."""
    outcomes = Outcomes(outcomes_loader(run.run_dir, run.spec.score))
    evidence = SplitEvidence(run.records(), outcomes, run.spec.objective_sets, "confirm", seed=run.spec.seed)
    means = {arm: accuracy for arm in arms if (accuracy := evidence.accuracy(arm)) is not None}
    if not means:
        raise UserError("no finalist finished on confirm", hint="`recombine status RUN` lists the failures")
    return max(means, key=lambda arm: means[arm])


def _comparator_arms(run: StudyRun, selected: Composition, recipe: Recipe) -> dict[str, list[PlannedTrial]]:
    spec, rows = run.spec, run.train_rows
    arms: dict[str, list[PlannedTrial]] = {}
    if "control" in spec.confirm.comparators:
        for seed in spec.confirm.seeds:
            for planned in plan_controls(run, selected.total, recipe, seed, ("confirm",), Stage.control):
                arms.setdefault(planned.arm, []).append(planned)
    evidence = comparators.Evidence(
        study=run.study,
        selected=selected,
        rows=rows,
        num_questions={name: run.store.count(name, "search") for name in spec.eval_sets},
        records=run.records(),
    )
    for name in spec.confirm.comparators:
        if name != "control":
            arms |= _comparator_arm(run, name, evidence, recipe)
    return arms


def _comparator_arm(
    run: StudyRun, name: str, evidence: comparators.Evidence, recipe: Recipe
) -> dict[str, list[PlannedTrial]]:
    """The trials of one comparator, or the reason why there are none."""
    composition, selected = comparators.MAKERS[name](evidence), evidence.selected
    if composition is None:
        run.decide(f"comparator {name}: there is none in this study")
        return {}
    if composition == selected:
        run.decide(f"comparator {name}: it is the selection itself")
        return {}
    if leaked := comparators.leaks(run.study, name, composition):
        run.decide(f"comparator {name}: refused, it trains on the own key of {', '.join(leaked)}, which is held out")
        return {}
    if composition.total != selected.total:
        run.decide(f"comparator {name}: {composition.total} samples against {selected.total}, not matched")
    return {name: _confirm_arm(run, name, composition, recipe)}


def open_sealed(run: StudyRun, arms: Mapping[str, Sequence[PlannedTrial]]) -> bool:
    """Score selection, comparators and baseline on `sealed`: possible once a study, and recorded before it happens.

    Returns:
        Whether these trials have sealed figures now.
    """
    from trainers.executors.rescore import rescore_trials
    from trainers.rows.row_blocks import load_row_blocks

    planned = _sealed_trials(run, arms)
    train_ids = sorted({p.spec.train_id for p in planned})
    openings = [r for r in run.ledger.records() if r["kind"] == "sealed_opened"]
    if any(opening["train_ids"] != train_ids for opening in openings):
        run.decide("sealed was opened before for another selection: it stays closed, its figures are those of then")
        return False
    if not openings:
        earlier = _note_opening(run)
        record = {"kind": "sealed_opened", "train_ids": train_ids, "store": run.store.fingerprint, "earlier": earlier}
        run.ledger.append(record)
        run.say("opening sealed: once, for the final figures")
    missing = [p for p in planned if not run.recorder.is_done(p)]
    if missing:
        run.engine.close()  # its slots hold the processors that reading and scoring need
        rows = load_row_blocks(run.store, [(name, "sealed") for name in run.spec.eval_sets])
        specs = list({p.spec.train_id: p.spec for p in missing}.values())
        results = {r.train_id: r for r in rescore_trials(specs, rows, run.run_dir, run.resources)}
        for p in missing:
            run.recorder.record(p, results[p.spec.train_id])
    return True


def _note_opening(run: StudyRun) -> int:
    """Write this opening down beside the data; return how many other studies have opened the same questions."""
    partitions = {name: run.store.partition_fingerprint(name, "sealed") for name in run.spec.eval_sets}
    first = next(record for record in run.ledger.records() if record["kind"] == "writer")
    identity = content_hash([run.spec.name, first["opened_at"]])
    earlier = earlier_openings(run.study.store_dir, partitions, identity)
    if earlier:
        names = ", ".join(dict.fromkeys(str(opening["name"]) for opening in earlier))
        run.decide(
            f"these sealed questions were opened before by {len(earlier)} other studies ({names}): figures on them may "
            "have been chosen on what those showed"
        )
    if not note_opening(run.study.store_dir, partitions, identity, run.spec.name):
        run.decide("the store cannot be written to, so that other studies will not learn of this opening")
    return len(earlier)


def _sealed_trials(run: StudyRun, arms: Mapping[str, Sequence[PlannedTrial]]) -> list[PlannedTrial]:
    """Return the finished trials of every arm, asked for `sealed` only."""
    finished = {r["train_id"] for r in run.records() if r["status"] == Status.finished}
    baseline = run.factory.baseline()
    planned: list[PlannedTrial] = []
    for arm, trials in {baseline.arm: [baseline], **arms}.items():
        for trial in trials:
            if trial.spec.train_id in finished:
                old = trial.spec
                spec = run.factory.spec(Composition(old.composition), old.recipe, old.seed, ("sealed",))
                planned.append(PlannedTrial(spec=spec, stage=Stage.sealed, arm=arm, reason="final figures"))
    return planned
