"""The study file with its catalog and task map, and the rows of its prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.catalog.keys import Key, TaskMap
from datasets_spec.storage.place import Place
from datasets_spec.store.manifest import read_manifest
from search.study.exposure import Exposures
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from trainers.backbone_spec import BackboneSpec


class KeyedStudy(Protocol):
    """What designs and explanations need of a study, whether it is opened from its file or from its directory."""

    @property
    def path(self) -> Path:
        """The file it was opened from, for messages."""

    @property
    def spec(self) -> StudySpec:
        """What the file says."""

    @property
    def keys(self) -> Mapping[str, Key]:
        """The key of every subset of the catalog."""

    @property
    def task_map(self) -> TaskMap:
        """Decides what is shared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study file together with what it refers to."""

    path: Path
    spec: StudySpec
    catalog: Catalog
    task_map: TaskMap
    store_dir: Place

    @property
    def keys(self) -> dict[str, Key]:
        """The key of every subset of the catalog."""
        return {name: self.catalog.subset(name).key for name in self.catalog.names}

    @property
    def reused_runs(self) -> tuple[RunDir, ...]:
        """The run folders that equal trials are taken from."""
        return tuple(RunDir(self.path.resolve().parent / folder) for folder in self.spec.reuse)

    def located(self, backbone: BackboneSpec) -> BackboneSpec:
        """Return a backbone whose folder, where it names one, starts from the study file wherever the study is run."""
        return backbone.located(self.path.resolve().parent)

    @property
    def exposures(self) -> Exposures:
        """The exposure rules of this study."""
        return Exposures(self.keys, self.task_map, self.spec.declared_shots)


def row_counts(study: Study) -> dict[str, dict[str, int]]:
    """Return rows by subset and split where the data have been prepared, else nothing."""
    manifest = read_manifest(study.store_dir)
    return {} if manifest is None else {name: dict(counts.splits) for name, counts in manifest.subsets.items()}


def train_rows(study: Study, counted: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Training rows by subset: of the prepared data, or as many as the study asks for before there are any.

    Args:
        study: the study.
        counted: `row_counts` of it.
    """
    spec = study.spec
    assumed = max((*spec.space.composition.steps, spec.space.composition.budget))
    return {name: counted.get(name, {}).get("train", 0 if counted else assumed) for name in study.catalog.names}
