"""Least scores on `search`: what the study's constraints ask of trials that are proposed and of finalists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets_spec.store.store import Store
from search.evidence.blind import blind_figures, no_image_shares
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


def keeping_first(
    best: Sequence[Candidate], observations: Sequence[Observation], least: Mapping[str, float]
) -> tuple[list[Candidate], str | None]:
    """Put candidates behind that scored below what is asked, as long as one has not; say so.

    Args:
        best: candidates, best first.
        observations: what is known of them; one that was not tried stays before those that break a constraint.
        least: `least_scores`.

    Returns:
        The candidates, and what was decided in words; None without constraints.
    """
    if not least:
        return list(best), None
    broken: dict[Candidate, list[str]] = {}
    for observation in observations:
        scores = observation.scores or {}
        below = [name for name, score in least.items() if name in scores and scores[name] < score]
        if below:
            broken[observation.candidate] = below
    kept = [candidate for candidate in best if candidate not in broken]
    if len(kept) == len(best):
        return list(best), f"constraints: kept on search by all {len(best)} candidates for the confirmation"
    tried = {observation.candidate for observation in observations}
    if not tried & set(kept):
        names = ", ".join(f"{name} (at least {score:.1%})" for name, score in sorted(least.items()))
        return list(best), f"WARNING: constraints: no trial keeps all of them on search: {names}"
    text = f"constraints: {len(best) - len(kept)} of {len(best)} candidates break one on search and come last"
    return [*kept, *(candidate for candidate in best if candidate in broken)], text
