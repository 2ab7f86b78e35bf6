"""A cheap finalist: what costs least to train of all that the search found nearly as good as the best."""

from __future__ import annotations

from collections.abc import Sequence

from search.evidence.confirmation.training_cost import TrainingCost, cheapest_within, training_cost
from search.space.candidate import Candidate
from search.strategies.interface import Observation
from search.study.spec import StudySpec


def candidate_cost(spec: StudySpec, candidate: Candidate) -> TrainingCost:
    """The cost of a candidate's fine-tune."""
    recipe = spec.recipe_of(dict(candidate.recipe))
    return training_cost(recipe.num_steps, recipe.batch_size, candidate.composition)


def cheapest_second(
    spec: StudySpec, best: Sequence[Candidate], observations: Sequence[Observation]
) -> tuple[list[Candidate], str | None]:
    """Put the cheapest candidate within `confirm.cheaper_within` of the best second; see what the confirmation shows.

    Args:
        spec: the study.
        best: candidates for the confirmation, best first.
        observations: their results on `search`.

    Returns:
        The candidates, and what was decided in words; None where the study does not ask for it.
    """
    within = spec.confirm.cheaper_within
    scores = {o.candidate: sum(o.values) / len(o.values) for o in observations if o.values}
    known = [candidate for candidate in best if candidate in scores]
    if within is None or not known:
        return list(best), None
    costs = [candidate_cost(spec, candidate) for candidate in known]
    found = known[cheapest_within(costs, [scores[candidate] for candidate in known], within / 100)]
    if candidate_cost(spec, found) >= candidate_cost(spec, best[0]):
        return list(best), f"cheaper finalist: no trial within {within:g} points of the best on search is cheaper"
    others = [candidate for candidate in best if candidate != found]
    num_passes, num_samples = candidate_cost(spec, found)
    text = (
        f"cheaper finalist: {found.composition}, {scores[found]:.1%} on search where the best has "
        f"{max(scores[candidate] for candidate in known):.1%}; {num_passes:,} passes of {num_samples:,} samples"
    )
    return [others[0], found, *others[1:]], text
