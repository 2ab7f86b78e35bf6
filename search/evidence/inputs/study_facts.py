"""What results say of a study and its data that neither ledger nor answers hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from datasets_spec.atomic import replace_text
from datasets_spec.catalog.divided_tests import divided_tests_line
from datasets_spec.catalog.keys import Key, TaskMap
from datasets_spec.storage.place import Place
from datasets_spec.store.store import Store
from search.evidence.inputs.environment import Environment, this_environment
from search.study.foreign_catalog import foreign_catalog_warning
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from search.study.study import Study


class SubsetFacts(BaseModel):
    """A subset of the catalog: its key and terms, and what preparing made of its rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    licence: str | None = None
    origin: str | None = None
    rows: dict[str, int] = {}
    quarantined: dict[str, int] = {}
    leaked: int = 0
    duplicates: int = 0
    groups_known: bool = False
    num_grouped: int | None = None


class StudyFacts(BaseModel):
    """What is kept in `inputs/study.json`.

    Attributes:
        spec: the study with overrides applied, as its results are computed.
        subsets: all of the catalog, by name.
        study_dir: where the study file was, relative to the study directory: both may be moved together.
        store_dir: where the data were, likewise, or an address.
        catalog: its name.
        task_map: decides what is shared.
        store_fingerprint: of the data.
        foreign_catalog: a warning of the report.
        divided_tests: another.
        blind: what is reached without images on `confirm` (`blind_figures`).
        blind_sealed: the same on `sealed`, once it is opened.
        environment: in which the results were computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: StudySpec
    subsets: dict[str, SubsetFacts]
    study_dir: str
    store_dir: str
    catalog: str
    task_map: TaskMap
    store_fingerprint: str
    foreign_catalog: str | None
    divided_tests: str | None
    blind: dict[str, Any]
    blind_sealed: dict[str, Any] = {}
    environment: Environment

    @property
    def keys(self) -> dict[str, Key]:
        """The key of every subset of the catalog."""
        return {name: subset.key for name, subset in self.subsets.items()}


def gather_facts(
    study: Study,
    store: Store,
    blind: dict[str, Any],
    run_dir: RunDir,
    *,
    blind_sealed: dict[str, Any] | None = None,
) -> StudyFacts:
    """Collect them.

    Args:
        study: the study.
        store: its data.
        blind: what `blind_figures` returned.
        run_dir: its directory.
        blind_sealed: the same of `sealed`.
    """
    return StudyFacts(
        spec=study.spec,
        subsets={name: _subset(study, store, name) for name in study.catalog.names},
        study_dir=_written(study.path.resolve().parent, run_dir.root.resolve()),
        store_dir=_written(study.store_dir, run_dir.root.resolve()),
        catalog=study.catalog.spec.name,
        task_map=study.task_map,
        store_fingerprint=store.fingerprint,
        foreign_catalog=foreign_catalog_warning(study),
        divided_tests=divided_tests_line(study.catalog, study.spec.eval_sets),
        blind=blind,
        blind_sealed=blind_sealed or {},
        environment=this_environment(),
    )


def _written(store_dir: Place, root: Path) -> str:
    return Path(os.path.relpath(store_dir, root)).as_posix() if isinstance(store_dir, Path) else str(store_dir)


def _subset(study: Study, store: Store, name: str) -> SubsetFacts:
    spec, counts = study.catalog.subset(name), store.manifest.subsets.get(name)
    named = {"key": spec.key, "licence": study.catalog.licence_of(name), "origin": spec.origin}
    if counts is None:
        return SubsetFacts(**named)
    return SubsetFacts(
        **named,
        rows=counts.splits,
        quarantined=counts.quarantined,
        leaked=counts.leaked,
        duplicates=counts.duplicates,
        groups_known=counts.groups_known,
        num_grouped=counts.num_grouped,
    )


def write_facts(facts: StudyFacts, path: Path) -> None:
    """Write them as JSON, atomically."""
    replace_text(path, json.dumps(facts.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")


def writing_version(path: Path) -> tuple[str, str] | None:
    """Version and hash of the sources that wrote the facts; None where the file does not say, being damaged."""
    try:
        environment = json.loads(path.read_bytes())["environment"]
        return str(environment["versions"]["recombine"]), str(environment["source_sha256"])
    except (KeyError, OSError, TypeError, ValueError):
        return None


def read_facts(path: Path) -> StudyFacts:
    """Read what `write_facts` wrote."""
    return StudyFacts.model_validate_json(path.read_bytes())
