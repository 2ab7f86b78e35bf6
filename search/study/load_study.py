"""Opens a study file: paths resolved, names checked against the catalog, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets_spec.catalog.catalog import Catalog, load_catalog
from datasets_spec.catalog.keys import load_task_map
from datasets_spec.errors import Problem, SpecError, StorageError, UserError
from datasets_spec.spec_files.spec_file import load_spec, locate
from datasets_spec.storage.place import below
from search.study.checks import find_mistakes
from search.study.licences_and_costs import with_catalog
from search.study.own_keys import without_own_keys
from search.study.spec import StudySpec
from search.study.study import Study


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Load a study file and check it against its catalog.

    Args:
        path: the YAML file.
        overrides: `key=value` pairs that replace values of the file.

    Raises:
        SpecError: anything is wrong; all problems at once, each with file, line and column.
        UserError: the file, catalog or task map cannot be read.
    """
    try:
        spec = load_spec(path, StudySpec, overrides=overrides)
    except SpecError as error:
        if any(problem.where == "subsets" for problem in error.problems):
            raise UserError(
                f"{path} is a catalog, not a study",
                hint=f"`recombine init DIR` writes a study file; name this one in it: `catalog: {path.name}`",
            ) from None
        raise
    base = path.resolve().parent
    if spec.catalog.endswith((".yaml", ".yml")) and not (base / spec.catalog).is_file():
        missing = locate(path, ("catalog",), overrides=overrides, message="there is no such file", found=spec.catalog)
        raise SpecError([missing], hint="the README's section 'The data' shows a catalog; paths start from this file")
    catalog = open_catalog(spec.catalog, base)
    task_map = load_task_map(spec.task_map, base_dir=base) if spec.task_map else catalog.task_map
    problems: list[Problem] = []
    try:
        store_dir = below(base, spec.store)
    except StorageError as error:
        store_dir, message = base, f"{error.message}; a store is a folder, or lies at s3://BUCKET/KEY"
        problems.append(locate(path, ("store",), overrides=overrides, message=message, found=spec.store))
    study = Study(path=path, spec=spec, catalog=catalog, task_map=task_map, store_dir=store_dir)
    problems += [
        locate(path, where, overrides=overrides, message=message, found=found, nearest=nearest)
        for where, message, found, nearest in find_mistakes(study)
    ]
    if problems:
        raise SpecError(problems, hint="`recombine data check` lists the catalog's subsets")
    return without_own_keys(replace(study, spec=with_catalog(spec, catalog)))


def open_catalog(path_or_name: str, base: Path) -> Catalog:
    """Load a catalog file, relative to `base`, or a shipped one by name (its files then are relative to `base`)."""
    if path_or_name.endswith((".yaml", ".yml")):
        return load_catalog(base / path_or_name)
    return load_catalog(path_or_name, base_dir=base)
