"""Least scores on `search`: what the study's constraints ask of trials that are proposed and of finalists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets_spec.store.store import Store
from search.evidence.blind import blind_figures, no_image_shares
from search.evidence.confirmation.training_cost import ROUNDING
from search.ledger.records import Record, trials_of
from search.space.candidate import Candidate
from search.strategies.interface import Observation
from search.study.objective import scores_of
from search.study.spec import StudySpec
from search.vocabulary import Stage


def least_scores(spec: StudySpec, store: Store, records: Sequence[Record]) -> dict[str, float]:
    """Return the least score on `search` by evaluation set; none where the study has no constraints.

    Args:
        spec: the study.
        store: its data: what their questions yield without images.
        records: the ledger's: what the untrained backbone reached.
    """
    section = spec.constraints
    if section is None:
        return {}
    least: dict[str, float] = {}
    if section.no_image_floor:
        least = no_image_shares(blind_figures(store, spec.eval_sets, spec.score, "search"))
    if section.most_lost is not None:
        for record in trials_of(records, Stage.baseline):
            for name, score in scores_of(record, score=spec.score, always=spec.kept_sets).items():
                if name in spec.kept_sets:
                    least[name] = max(score - section.most_lost / 100, least.get(name, 0.0))
    return least


def always_counted(spec: StudySpec) -> tuple[str, ...]:
    """Evaluation sets of constraints that count whether their own key was trained on or not: they are no targets."""
    floors = spec.eval_sets if spec.constraints is not None and spec.constraints.no_image_floor else ()
    return tuple(dict.fromkeys([*spec.kept_sets, *(name for name in floors if name not in spec.objective_sets)]))


def keeping_first(
    best: Sequence[Candidate], observations: Sequence[Observation], least: Mapping[str, float]
) -> tuple[list[Candidate], list[Candidate], str | None]:
    """Tell candidates that scored below what is asked from the others, as long as one of these has not; say so.

    Args:
        best: candidates, best first.
        observations: what is known of them; one that was not tried, or not on all that is asked, is with the others.
        least: `least_scores`.

    Returns:
        The candidates that come first, those that come last, both in their order, and what was decided in words; None
        without constraints.
    """
    if not least:
        return list(best), [], None
    broken: set[Candidate] = set()
    measured: set[Candidate] = set()
    for observation in observations:
        scores = observation.scores or {}
        if any(name in scores and scores[name] < score - ROUNDING for name, score in least.items()):
            broken.add(observation.candidate)
        if all(name in scores for name in least):
            measured.add(observation.candidate)
    first = [candidate for candidate in best if candidate not in broken]
    last = [candidate for candidate in best if candidate in broken]
    num_unknown = sum(candidate not in measured for candidate in first)
    tried = {observation.candidate for observation in observations}
    if last and not tried & set(first):
        names = ", ".join(f"{name} (at least {score:.1%})" for name, score in sorted(least.items()))
        return list(best), [], f"WARNING: constraints: no trial keeps all of them on search: {names}"
    if last:
        text = f"constraints: {len(last)} of {len(best)} candidates break one on search and come last"
    elif num_unknown:
        text = f"constraints: broken on search by none of {len(best)} candidates for the confirmation"
    else:
        text = f"constraints: kept on search by all {len(best)} candidates for the confirmation"
    if num_unknown:
        text += f"; {num_unknown} of the others" if last else f"; {num_unknown} of them"
        text += f" {'were' if num_unknown > 1 else 'was'} not scored on all that is asked"
    return first, last, text
