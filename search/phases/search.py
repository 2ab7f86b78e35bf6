"""The search: a strategy spends its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from datasets_spec.errors import UserError
from datasets_spec.store.store import Store
from search.engine.rungs import rung_steps
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import StrategySource
from search.ledger.records import each_training_once, finished_of, proposal_arm
from search.phases.budget import spent_budget
from search.phases.cheaper import cheapest_second
from search.phases.constraints import always_counted, keeping_first, least_scores
from search.phases.left_to_gain import left_to_gain
from search.phases.merges import proxy_of
from search.phases.transfer import is_matrix_first
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import PARETO_TURNS, Observation, Recommender, SearchContext, Strategy
from search.strategies.ranking import one_each, ranked
from search.strategies.registry import build_strategy
from search.study.objective import objective_values, scores_of
from search.study.spec import StudySpec
from search.study.study import Study
from search.vocabulary import Stage, Status


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
            arm=proposal_arm(index),
            strategy=spec.strategy.name,
            proposal_index=index,
            reason=reason,
            searched=dict(candidate.recipe),
        )

    context = context_of(run.study, run.store, run.ledger.records())
    strategy = build_strategy(
        spec.strategy.name, space=spec.space, seed=spec.seed, num_objectives=spec.num_objectives, context=context
    )
    source = _strategy_source(run, strategy, build)
    keep = spec.execution.keep_adapters
    if keep != "all" and spec.strategy.num_trials > keep:
        run.decide(
            f"adapters: the search keeps those of its best {keep} trials; the others are removed once scored, and "
            "could be scored on a new target only after training again (execution.keep_adapters: all)"
        )
    run.run_source(source)
    observations = source.observations()
    known = [observation for observation in context.known if spec.space.contains(observation.candidate)]
    results = one_each([*observations.values(), *known])
    best = [observation.candidate for observation in ranked(results)]
    if not best:
        raise UserError(
            "no trial of the search has a value: all failed, or all trained on a target's own key",
            hint="`recombine status RUN` lists the failures",
        )
    ended = [observations[i] for i in sorted(observations)]
    best, decision = with_recommended(strategy, ended, best)
    best, ordered = in_order(spec, best, results, context.least)
    for text in filter(None, (decision, *ordered)):
        run.decide(text)
    found = strategy.recommend(ended) if isinstance(strategy, Recommender) else None
    if found is not None:
        run.decide(left_to_gain(spec, run.ledger.records(), found, len(ended)))
    return best


def _strategy_source(
    run: StudyRun, strategy: Strategy, build: Callable[[Candidate, int, str, int], PlannedTrial]
) -> StrategySource:
    """The strategy's trials, with what ends them early."""
    spec = run.spec
    return StrategySource(
        strategy,
        run.ledger,
        num_trials=spec.strategy.num_trials,
        max_concurrent=spec.execution.max_concurrent,
        deterministic=spec.deterministic,
        build=build,
        values=lambda record: objective_values(spec, record),
        scores=lambda record: scores_of(record, score=spec.score, always=always_counted(spec)),
        seeds=spec.search_seeds,
        space=spec.space,
        least_gain=None if spec.strategy.stop_when is None else spec.strategy.stop_when / 100,
        patience=len(PARETO_TURNS) if spec.num_objectives > 1 else 1,
        spent=lambda: spent_budget(spec, run.ledger.records, lambda: datetime.now(UTC)),
        limits=spec.search_limits,
    )


def context_of(study: Study, store: Store, records: Sequence[Mapping[str, Any]] = ()) -> SearchContext:
    """Keys of sources and evaluation sets, their questions, what the objectives average, and what is known already.

    Args:
        study: an open study.
        store: its data.
        records: the ledger's, as they were when the search began.
    """
    spec = study.spec
    scored = spec.sets_on("search")
    return SearchContext(
        source_keys={name: study.catalog.subset(name).key for name in spec.space.composition.allowed},
        target_keys={name: study.catalog.subset(name).key for name in scored},
        task_map=study.task_map,
        num_items={name: store.count(name, "search") for name in scored},
        objectives=spec.objectives,
        recipe={name: getattr(spec.recipe, name) for name in spec.space.recipe.dimensions},
        num_trials=spec.strategy.num_trials,
        proxy=proxy_of(records, spec.score),
        known=known_results(spec, records),
        least=least_scores(spec, store, records),
        kept=tuple(name for name in spec.kept_sets if name in spec.retained),
    )


def known_results(spec: StudySpec, records: Sequence[Mapping[str, Any]]) -> tuple[Observation, ...]:
    """Results that are no proposals: trials of other studies, and the single sources."""
    stages = (Stage.reused, Stage.single) if is_matrix_first(records) else (Stage.reused,)
    known = each_training_once(finished_of(records, *stages))
    return tuple(
        Observation(
            candidate=Candidate(
                Composition(record["composition"]),
                {name: record["recipe"][name] for name in spec.space.recipe.dimensions},
            ),
            values=objective_values(spec, record),
            status=Status(record["status"]),
            proposal_index=-1 - place,
            scores=scores_of(record, score=spec.score, always=always_counted(spec)),
        )
        for place, record in enumerate(known)
    )


def in_order(
    spec: StudySpec, best: Sequence[Candidate], observations: Sequence[Observation], least: Mapping[str, float]
) -> tuple[list[Candidate], list[str | None]]:
    """Order candidates for the confirmation: what breaks a constraint last, and of the others the cheapest second.

    Args:
        spec: the study.
        best: candidates, best first.
        observations: their results on `search`.
        least: `least_scores`.

    Returns:
        The candidates, and what was decided in words; None for what the study does not ask for.
    """
    first, last, kept = keeping_first(best, observations, least)
    first, cheap = cheapest_second(spec, first, observations)
    return [*first, *last], [kept, cheap]


def with_recommended(
    strategy: Strategy, observations: Sequence[Observation], best: Sequence[Candidate]
) -> tuple[list[Candidate], str | None]:
    """Put what the strategy's model recommends first: the best result of many is partly luck, the model's is less so.

    Args:
        strategy: the one that searched.
        observations: all that ended, in proposal order.
        best: candidates by their results, best first.

    Returns:
        The candidates, and what was decided in words; None where the strategy has no model.
    """
    if not isinstance(strategy, Recommender):
        return list(best), None
    found = strategy.recommend(observations)
    if found is None:
        return list(best), None
    others = [candidate for candidate in best if candidate != found.candidate]
    tried = "tried in the search" if len(others) < len(best) else "not tried in the search"
    return [found.candidate, *others], f"first finalist: {found.candidate.composition}, {found.reason}, {tried}"
