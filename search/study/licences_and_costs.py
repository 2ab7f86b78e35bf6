"""What the catalog says about a space's sources: who may be trained on, and what a sample costs."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from datasets_spec.catalog.catalog import Catalog
from search.space.composition_space import CompositionSpace
from search.study.spec import StudySpec

WHERE = ("space", "composition")
# Where in the study file, what is wrong, what was found, what may have been meant.
Mistake = tuple[tuple[str | int, ...], str, str | None, str | None]


def with_catalog(spec: StudySpec, catalog: Catalog) -> StudySpec:
    """The study with licences turned into excluded sources and with the catalog's costs in place.

    Args:
        spec: as written; `space_mistakes` found nothing wrong with it.
        catalog: of the study.
    """
    space = spec.space.composition
    changes: dict[str, object] = {}
    if space.licences is not None:
        changes["must_not_have"] = tuple(dict.fromkeys([*space.must_not_have, *_unlicensed(space, catalog)]))
    if space.max_cost is not None:
        changes["sample_costs"] = _costs(space, catalog)
    if not changes:
        return spec
    composition = CompositionSpace.model_validate(space.model_dump() | changes)
    return spec.model_copy(update={"space": spec.space.model_copy(update={"composition": composition})})


def space_mistakes(spec: StudySpec, catalog: Catalog) -> Iterator[Mistake]:
    """What is wrong between a space and its catalog; every source must be in the catalog."""
    space = spec.space.composition
    if space.sample_costs is not None and space.max_cost is None:
        yield (*WHERE, "sample_costs"), "does nothing without max_cost", None, None
    unlicensed = _unlicensed(space, catalog) if space.licences is not None else ()
    for place, subset in enumerate(space.must_have):
        if subset in unlicensed:
            licence = catalog.subset(subset).licence or "not stated"
            yield (*WHERE, "must_have", place), f"its licence is '{licence}', which `licences` leaves out", subset, None
    for place, subset in enumerate(spec.control_sources):
        if space.licences is not None and catalog.subset(subset).licence not in space.licences:
            licence = catalog.subset(subset).licence or "not stated"
            yield ("control_sources", place), f"its licence is '{licence}', which `licences` leaves out", subset, None
    costs = _costs(space, catalog) if space.max_cost is not None else {}
    unpriced = [s for s in space.allowed if space.max_cost is not None and s not in unlicensed and s not in costs]
    for subset in unpriced:
        place = space.sources.index(subset)
        yield (*WHERE, "sources", place), "has no sample_cost in the catalog, so max_cost cannot be kept", subset, None
    if not unpriced and not set(unlicensed) & set(space.must_have):
        try:
            with_catalog(spec, catalog)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            yield WHERE, f"with the catalog's licences and costs {reason}", None, None


def _unlicensed(space: CompositionSpace, catalog: Catalog) -> tuple[str, ...]:
    """Sources whose licence is another, or not stated."""
    return tuple(s for s in space.sources if catalog.subset(s).licence not in (space.licences or ()))


def _costs(space: CompositionSpace, catalog: Catalog) -> dict[str, float]:
    """Cost of a sample: the study's own where it gives one, else the catalog's."""
    found = {s: cost for s in space.sources if (cost := catalog.subset(s).sample_cost) is not None}
    return found | (space.sample_costs or {})
