"""Every mistake of a study file against its catalog."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import ValidationError

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import Choice, IntRange, LogUniform, RecipeValue, Uniform
from search.strategies.registry import STRATEGY_NAMES, build_strategy
from search.study.licences_and_costs import WHERE, Mistake, space_mistakes, with_catalog
from search.study.own_keys import without_own_keys
from search.study.run_dir import RunFile
from search.study.spec import StudySpec
from search.study.study import Study
from search.vocabulary import Exposure


def find_mistakes(study: Study) -> Iterator[Mistake]:
    """Yields every mistake: where it stands, what is wrong, what was found, and the nearest valid name."""
    spec, names = study.spec, study.catalog.names
    listed: dict[tuple[str, ...], Sequence[str]] = {
        ("targets",): spec.targets,
        ("abilities",): spec.abilities,
        ("retained",): spec.retained,
        ("control_sources",): spec.control_sources,
        ("space", "composition", "sources"): spec.space.composition.sources,
    }
    unknown = False
    for where, values in listed.items():
        for index, name in enumerate(values):
            if name in values[:index]:
                yield (*where, index), "is listed more than once", name, None
            if name not in names:
                unknown = True
                yield (*where, index), "is not a subset of the catalog", name, nearest_of(name, names)
    yield from _unusable_strategy(spec)
    yield from _unusable_runs(study)
    yield from _unusable_recipe_values(spec)
    for name in spec.few_shot:
        if name not in spec.eval_sets:
            yield ("few_shot", name), "is not among targets and abilities", name, nearest_of(name, spec.eval_sets)
    if unknown:
        return  # keys are needed for the rest
    mistakes = list(space_mistakes(spec, study.catalog))
    yield from mistakes
    yield from _misplaced_targets(study)
    yield from _always_in_domain(study, can_fill=not mistakes)


def _misplaced_targets(study: Study) -> Iterator[Mistake]:
    for index, name in enumerate(study.spec.targets):
        if study.catalog.subset(name).ability != "none":
            yield ("targets", index), "is a multi-image subset; list it under `abilities`", name, None
    for index, name in enumerate(study.spec.abilities):
        if study.catalog.subset(name).ability == "none":
            yield ("abilities", index), "is a single-image subset; list it under `targets`", name, None


def _unusable_runs(study: Study) -> Iterator[Mistake]:
    for index, folder in enumerate(study.reused_runs):
        if not (folder / RunFile.ledger).is_dir():
            yield ("reuse", index), "is no run folder of a study (it has no ledger)", study.spec.reuse[index], None


def _unusable_strategy(spec: StudySpec) -> Iterator[Mistake]:
    name = spec.strategy.name
    if name not in STRATEGY_NAMES:
        yield ("strategy", "name"), f"is not one of {', '.join(STRATEGY_NAMES)}", name, nearest_of(name, STRATEGY_NAMES)
    elif name == "merge-then-confirm":
        if not spec.strategy.num_merges:
            yield ("strategy", "name"), "needs merges: set strategy.num_merges, e.g. to 64", name, None
    elif name == "exhaustive":  # it cannot search every space
        try:
            build_strategy(name, space=spec.space, seed=spec.seed)
        except UserError as error:
            yield ("strategy", "name"), error.message, name, None


def _unusable_recipe_values(spec: StudySpec) -> Iterator[Mistake]:
    """A value that a recipe refuses would otherwise stop the study when it is first proposed."""
    for name, dimension in spec.space.recipe.dimensions.items():
        for value in _extremes(dimension):
            try:
                spec.recipe_of({name: value})
            except ValidationError as error:
                yield ("space", "recipe", name), error.errors()[0]["msg"], str(value), None


def _extremes(dimension: Choice | LogUniform | Uniform | IntRange) -> tuple[RecipeValue, ...]:
    """Return the values that a recipe must accept so that it accepts every value of the dimension."""
    if isinstance(dimension, Choice):
        return dimension.values
    if isinstance(dimension, IntRange):
        return dimension.low, dimension.high
    # The last is no whole number, as most draws: a count cannot be searched by a range of real numbers.
    return dimension.low, dimension.high, dimension.low + (dimension.high - dimension.low) / math.pi


def _always_in_domain(study: Study, *, can_fill: bool) -> Iterator[Mistake]:
    """A space whose every composition trains on a target's own key cannot say anything about composing."""
    space = study.spec.space.composition
    hopeless = False
    for field in ("targets", "abilities"):
        for index, target in enumerate(getattr(study.spec, field)):
            own = _in_domain_sources(study, target)
            if own and not _possible_without(space, own):
                hopeless = True
                message = f"every composition contains this target's own key ({', '.join(own)}): nothing is held out"
                yield (field, index), message, target, None
    together = sorted({source for target in study.spec.objective_sets for source in _in_domain_sources(study, target)})
    if together and not hopeless and not _possible_without(space, together):
        hopeless = True
        message = f"every composition contains some target's own key ({', '.join(together)}): no trial would count"
        yield ("space", "composition", "sources"), message, None, None
    if can_fill and not hopeless:
        try:
            without_own_keys(replace(study, spec=with_catalog(study.spec, study.catalog)))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            yield WHERE, f"without the targets' own keys {reason}", None, None


def _in_domain_sources(study: Study, target: str) -> list[str]:
    """Return the sources that may not be in a composition that counts for the target."""
    space, exposures = study.spec.space.composition, study.exposures
    return [s for s in space.allowed if exposures.of({s: space.grid_of(s)[0]}, target) == Exposure.in_domain]


def _possible_without(space: CompositionSpace, subsets: Sequence[str]) -> bool:
    if set(subsets) & set(space.must_have):
        return False
    try:
        values = space.model_dump() | {"must_not_have": tuple({*space.must_not_have, *subsets})}
        return CompositionSpace.model_validate(values).count() > 0
    except ValueError:
        return False
