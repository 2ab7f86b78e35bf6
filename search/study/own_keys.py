"""Sources that carry a target's own key: a search does not propose them, because such a trial could not count."""

from __future__ import annotations

from dataclasses import replace

from search.space.composition_space import CompositionSpace
from search.study.study import Study


def without_own_keys(study: Study) -> Study:
    """The study whose space holds no composition without an objective value; see `own_key_samples`.

    A trial that trains on the own key of a target of the objective has no objective value. Such sources stay in the
    transfer matrix, where each is alone; a design trains on what it is about, and is left as it is.

    Raises:
        ValidationError: no composition is left.
    """
    most = own_key_samples(study)
    if study.spec.design is not None or not most:
        return study
    space = study.spec.space
    values = space.composition.model_dump() | {"own_key_samples": most}
    composition = CompositionSpace.model_validate(values)
    changed = space.model_copy(update={"composition": composition})
    return replace(study, spec=study.spec.model_copy(update={"space": changed}))


def own_key_samples(study: Study) -> dict[str, int]:
    """The most samples of each source with the own key of some target of the objective: 0, or what `few_shot` says."""
    exposures = study.exposures
    found: dict[str, int] = {}
    for source in study.spec.space.composition.available:
        limits = [exposures.most_samples(source, target) for target in study.spec.objective_sets]
        known = [limit for limit in limits if limit is not None]
        if known:
            found[source] = min(known)
    return found


def own_keys_line(study: Study) -> str | None:
    """What a plan says of them; None where there are none."""
    space, exposures = study.spec.space.composition, study.exposures
    left_out = [source for source in own_key_samples(study) if source not in space.allowed]
    if study.spec.design is not None or not left_out:
        return None
    named = ", ".join(
        f"{s} ({', '.join(t for t in study.spec.objective_sets if exposures.has_same_key(s, t))})" for s in left_out
    )
    alone = "; alone it is a row of the transfer matrix" if study.spec.transfer.enabled else ""
    return f"own keys: the search proposes no {named}: trained on a target's own key, no trial could count{alone}"
