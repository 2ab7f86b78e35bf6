"""Opens a study file: paths resolved, names checked against the catalog, every mistake reported at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from datasets_spec.catalog.catalog import Catalog, load_catalog
from datasets_spec.catalog.keys import TaskMap, load_task_map
from datasets_spec.errors import SpecError, UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.spec_files.spec_file import load_spec, locate
from search.space.composition import CompositionSpace
from search.space.recipe_space import Choice, IntRange, LogUniform, RecipeValue, Uniform
from search.strategies.interface import STRATEGY_NAMES, build_strategy
from search.study.exposure import Exposures
from search.study.licences_and_costs import Mistake, space_mistakes, with_catalog
from search.study.spec import StudySpec
from search.vocabulary import Exposure

LEDGER_DIR = "ledger"


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study file together with what it refers to."""

    path: Path
    spec: StudySpec
    catalog: Catalog
    task_map: TaskMap
    store_dir: Path

    @property
    def reused_runs(self) -> tuple[Path, ...]:
        """The run folders that equal trials are taken from."""
        return tuple(self.path.resolve().parent / folder for folder in self.spec.reuse)

    @property
    def exposures(self) -> Exposures:
        """The exposure rules of this study."""
        keys = {name: self.catalog.subset(name).key for name in self.catalog.names}
        return Exposures(keys, self.task_map, self.spec.declared_shots)


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Load a study file and check it against its catalog.

    Args:
        path: the YAML file.
        overrides: `key=value` pairs that replace values of the file.

    Raises:
        SpecError: anything is wrong; all problems at once, each with file, line and column.
        UserError: the file, catalog or task map cannot be read.
    """
    spec = load_spec(path, StudySpec, overrides=overrides)
    base = path.resolve().parent
    if spec.catalog.endswith((".yaml", ".yml")) and not (base / spec.catalog).is_file():
        missing = locate(path, ("catalog",), overrides=overrides, message="there is no such file", found=spec.catalog)
        raise SpecError([missing], hint="the README's section 'The data' shows a catalog; paths start from this file")
    catalog = open_catalog(spec.catalog, base)
    task_map = load_task_map(spec.task_map, base_dir=base) if spec.task_map else catalog.task_map
    study = Study(path=path, spec=spec, catalog=catalog, task_map=task_map, store_dir=base / spec.store)
    problems = [
        locate(path, where, overrides=overrides, message=message, found=found, nearest=nearest)
        for where, message, found, nearest in _mistakes(study)
    ]
    if problems:
        raise SpecError(problems, hint="`recombine data check` lists the catalog's subsets")
    return replace(study, spec=with_catalog(spec, catalog))


def open_catalog(path_or_name: str, base: Path) -> Catalog:
    """Load a catalog file, relative to `base`, or a shipped one by name (its files then are relative to `base`)."""
    if path_or_name.endswith((".yaml", ".yml")):
        return load_catalog(base / path_or_name)
    return load_catalog(path_or_name, base_dir=base)


def _mistakes(study: Study) -> Iterator[Mistake]:
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
    yield from space_mistakes(spec, study.catalog)
    yield from _misplaced_targets(study)
    yield from _always_in_domain(study)


def _misplaced_targets(study: Study) -> Iterator[Mistake]:
    for index, name in enumerate(study.spec.targets):
        if study.catalog.subset(name).ability != "none":
            yield ("targets", index), "is a multi-image subset; list it under `abilities`", name, None
    for index, name in enumerate(study.spec.abilities):
        if study.catalog.subset(name).ability == "none":
            yield ("abilities", index), "is a single-image subset; list it under `targets`", name, None


def _unusable_runs(study: Study) -> Iterator[Mistake]:
    for index, folder in enumerate(study.reused_runs):
        if not (folder / LEDGER_DIR).is_dir():
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


def _always_in_domain(study: Study) -> Iterator[Mistake]:
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
        message = f"every composition contains some target's own key ({', '.join(together)}): no trial would count"
        yield ("space", "composition", "sources"), message, None, None


def _in_domain_sources(study: Study, target: str) -> list[str]:
    """Return the sources that may not be in a composition that counts for the target."""
    space, exposures = study.spec.space.composition, study.exposures
    return [s for s in space.allowed if exposures.of({s: space.grid[0]}, target) == Exposure.in_domain]


def _possible_without(space: CompositionSpace, subsets: Sequence[str]) -> bool:
    if set(subsets) & set(space.must_have):
        return False
    try:
        values = space.model_dump() | {"must_not_have": tuple({*space.must_not_have, *subsets})}
        return CompositionSpace.model_validate(values).count() > 0
    except ValueError:
        return False
