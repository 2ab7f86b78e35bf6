"""The catalog as it is written."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datasets_spec.boxes import BoxForm
from datasets_spec.catalog.keys import Ability, Key
from datasets_spec.errors import StorageError
from datasets_spec.splits.leak_levels import LeakagePolicy
from datasets_spec.splits.shares import Role, SamplingSpec, SplitShares
from datasets_spec.storage.place import as_place

Format = Literal["med_mat", "med_mim", "llava", "sharegpt", "hf_messages", "table", "image_folder"]
# Lower case only: names become folder names, and some file systems ignore case.
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*$"


def _require_place(written: str) -> str:
    """Returns a path or an address; others than those of buckets are refused where they are written."""
    try:
        as_place(written)
    except StorageError as error:
        raise ValueError(error.message) from None
    return written


class SourceSpec(BaseModel):
    """One published data set that subsets are built from; what is known of it, by which nothing is trained.

    Args:
        id: What subsets call it.
        name: Its published name.
        url: Where it is published.
        modality: Modality as published.
        area: Anatomical area as published.
        task: Task as published.
        released: Whether its question file is published.
        file: That file, relative to the catalog file.
        licence: Its licence.
        origin: Where this row comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    url: str | None = None
    modality: str | None = None
    area: str | None = None
    task: str | None = None
    released: bool = True
    file: str | None = None
    licence: str | None = None
    origin: str | None = None


class SubsetSpec(BaseModel):
    """One named pool of samples with one key.

    Args:
        name: Lower-case name.
        modality: Modality of every sample.
        area: Anatomical area of every sample.
        task: Fine task of every sample.
        ability: Multi-image ability.
        format: How the files are written.
        released: False for a subset that is known but whose files nobody can have yet; it is listed, not prepared.
        role: ``id`` or ``ood`` as in Med-MAT: whether it is meant for training or for testing only.
        sources: Data sets it is built from, by the ids of the catalog's ``sources``.
        pool: Files (of an ``image_folder`` also folders) whose rows are divided by the shares; relative to the catalog
            file, or ``s3://bucket/key``.
        test: Files of a published test set; all their rows are ``sealed``, unless the subset has no pool and shares of
            its own with ``train: 0``, which then divide them.
        image_root: Folder beneath which every image path must stay; relative to the catalog file, or
            ``s3://bucket/prefix``.
        shares: Shares of this subset, instead of the catalog's.
        sampling: Sampling of this subset, instead of the catalog's.
        group_pattern: Regular expression with one group, searched in an image path: the patient.
        group_namespace: Subsets with the same namespace name the same patients alike; the subset's own name
            by default.
        answer_kind: Keep only closed, only open or only box questions; with ``box``, open answers that are four numbers
            are read as boxes.
        box_form: What the four numbers of a published box mean; needed where there are any, because it cannot be
            told from them.
        class_names: Readable names of an ``image_folder``'s classes, by folder or label; a class named here is an
            option even where no image has it.
        source_pattern: Keep only rows whose published source contains this regular expression: Med-MIM's files
            mix sources of different modalities.
        licence: Licence of the data.
        origin: Where the data comes from.
        sample_cost: What one training sample costs (licence fee, labelling), in the unit of a study's ``max_cost``.
        metadata: Notes for the reader; nothing in Recombine decides by them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN, max_length=100)
    modality: str = Field(min_length=1)
    area: str = Field(min_length=1)
    task: str = Field(min_length=1)
    ability: Ability = "none"
    format: Format | None = None
    released: bool = True
    role: Role | None = None
    sources: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    image_root: str | None = None
    shares: SplitShares | None = None
    sampling: SamplingSpec | None = None
    group_pattern: str | None = None
    group_namespace: str | None = None
    answer_kind: Literal["any", "closed", "open", "box"] = "any"
    box_form: BoxForm | None = None
    class_names: dict[str, str] = Field(default_factory=dict)
    source_pattern: str | None = None
    licence: str | None = None
    origin: str | None = None
    sample_cost: float | None = Field(default=None, ge=0)
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> Key:
        """The subset's key as written, before any task map."""
        return Key(modality=self.modality, area=self.area, task=self.task, ability=self.ability)

    @property
    def namespace(self) -> str:
        """The namespace its groups are named in."""
        return self.group_namespace or self.name

    @property
    def divides_test(self) -> bool:
        """Whether the rows of its published test set are divided by its shares, and so not all ``sealed``."""
        return bool(self.test) and not self.pool and self.shares is not None

    @field_validator("group_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error.msg}") from None
        if groups != 1:
            raise ValueError(f"needs exactly one group in parentheses, has {groups}")
        return pattern

    @field_validator("pool", "test")
    @classmethod
    def _are_places(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for file in files:
            _require_place(file)
        return files

    @field_validator("image_root")
    @classmethod
    def _is_a_place(cls, root: str | None) -> str | None:
        return None if root is None else _require_place(root)

    @field_validator("source_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error.msg}") from None
        return pattern

    @model_validator(mode="after")
    def _has_distinct_files(self) -> SubsetSpec:
        files = (*self.pool, *self.test)
        if not files and self.released:
            raise ValueError("needs files: give pool, test or both")
        if files and not self.released:
            raise ValueError("has files, so it cannot be 'released: false'")
        if files and self.format is None:
            raise ValueError("needs a format: how are its files written?")
        if self.divides_test and self.shares is not None and self.shares.train > 0:
            raise ValueError(
                "only test files, so its shares divide test rows, and these are never trained on: give `train: 0` and "
                "shares of search, confirm and sealed, or leave shares out and all rows are sealed"
            )
        if self.class_names and self.format != "image_folder":
            raise ValueError("class_names are for the format image_folder; other formats bring their questions")
        if not all(name.strip() for name in self.class_names.values()):
            raise ValueError("an empty name under class_names")
        stems: dict[str, str] = {}
        for file in files:
            stem = PurePosixPath(file).stem
            if stem in stems:
                raise ValueError(f"'{file}' and '{stems[stem]}' have the same name; samples are named by it")
            stems[stem] = file
        return self


class CatalogSpec(BaseModel):
    """A catalog as written in its file.

    Args:
        name: Name of the catalog.
        image_root: Folder of all images; relative to the catalog file, or ``s3://bucket/prefix``.
        task_map: Name of a shipped task map, or a path to one.
        absent: What to do with a subset whose files or image folder are not there: refuse all, or leave it out and
            say so.
        shares: Shares of subsets that do not give their own.
        sampling: Sampling of subsets that do not give their own.
        leakage: What is done about rows that show what a row of a later split shows.
        subsets: The subsets.
        sources: Data sets that subsets are built from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    image_root: str = "."
    task_map: str = "identity"
    absent: Literal["refuse", "skip"] = "refuse"
    shares: SplitShares = SplitShares()
    sampling: SamplingSpec = SamplingSpec()
    leakage: LeakagePolicy = LeakagePolicy()
    subsets: tuple[SubsetSpec, ...] = Field(min_length=1)
    sources: tuple[SourceSpec, ...] = ()

    @field_validator("image_root")
    @classmethod
    def _is_a_place(cls, root: str) -> str:
        return _require_place(root)

    @model_validator(mode="after")
    def _has_distinct_names(self) -> CatalogSpec:
        seen: set[str] = set()
        for subset in self.subsets:
            if subset.name in seen:
                raise ValueError(f"two subsets are called '{subset.name}'")
            seen.add(subset.name)
        return self

    @model_validator(mode="after")
    def _knows_its_sources(self) -> CatalogSpec:
        ids = [source.id for source in self.sources]
        if len(set(ids)) < len(ids):
            raise ValueError("two sources have the same id")
        for subset in self.subsets:
            for source in subset.sources:
                if source not in ids:
                    raise ValueError(f"'{subset.name}' is built from '{source}', which is not among the sources")
        return self
