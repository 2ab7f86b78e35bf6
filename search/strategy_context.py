"""What a study tells its strategy besides results, and what the strategy's model adds to the finalists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.store.store import Store
from search.phases.merges import proxy_of
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.context import SearchContext
from search.strategies.interface import Observation, Recommender, Strategy
from search.study.load_study import Study
from search.study.objective import COUNTED, objective_values
from search.study.score import ScoreSection, score_of
from search.study.spec import StudySpec
from search.vocabulary import Stage, Status


def context_of(study: Study, store: Store, records: Sequence[Mapping[str, Any]] = ()) -> SearchContext:
    """Keys of sources and evaluation sets, their questions, what the objectives average, and what is known already.

    Args:
        study: an open study.
        store: its data.
        records: the ledger's, as they were when the search began.
    """
    spec = study.spec
    objectives = {"cg": (spec.targets,), "multi_image": (spec.abilities,), "pareto": (spec.targets, spec.abilities)}
    return SearchContext(
        source_keys={name: study.catalog.subset(name).key for name in spec.space.composition.allowed},
        target_keys={name: study.catalog.subset(name).key for name in spec.eval_sets},
        task_map=study.task_map,
        num_items={name: store.count(name, "search") for name in spec.eval_sets},
        objectives=objectives[spec.objective],
        recipe={name: getattr(spec.recipe, name) for name in spec.space.recipe.dimensions},
        num_trials=spec.strategy.num_trials,
        proxy=proxy_of(records, spec.score),
        known=known_results(spec, records),
    )


def known_results(spec: StudySpec, records: Sequence[Mapping[str, Any]]) -> tuple[Observation, ...]:
    """Results that are no proposals: trials of other studies, and the single sources where they come first."""
    stages = {Stage.reused, Stage.single} if spec.strategy.num_merges else {Stage.reused}
    known = [r for r in records if r["kind"] == "trial" and r["stage"] in stages and r["status"] == Status.finished]
    return tuple(
        Observation(
            candidate=Candidate(
                Composition(record["composition"]),
                {name: record["recipe"][name] for name in spec.space.recipe.dimensions},
            ),
            values=objective_values(spec, record),
            status=Status(record["status"]),
            proposal_index=-1 - place,
            scores=scores_of(record, score=spec.score),
        )
        for place, record in enumerate(known)
    )


def scores_of(
    record: Mapping[str, Any], split: str = "search", *, score: ScoreSection | None = None
) -> dict[str, float]:
    """Score by evaluation set of a trial's record; sets whose own key was trained on are left out."""
    return {
        e["eval_set"]: score_of(e, score)
        for e in record["evaluations"]
        if e["split"] == split and e["exposure"] in COUNTED
    }


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
