"""What a store was made from: enough to tell whether preparing it again would change anything."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from datasets_spec.boxes import BoxForm
from datasets_spec.canonical import content_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.catalog.spec import SubsetSpec
from datasets_spec.errors import MissingImagesError, ReaderError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.readers import MADE_QUESTIONS
from datasets_spec.readers.class_questions import LabelledSubset
from datasets_spec.readers.image_files import find_images
from datasets_spec.splits.row_plan import POOL, TEST
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.manifest import STORE_VERSION

IMAGES_NAME = "images.parquet"
# Raised when readers understand more, or what is written changes beside rows' content: stores are then prepared again,
# while rows that stay the same keep their fingerprints. 1: options in more forms; keyed groups. 2: options marked "a)".
# 3: copies found anew. 4: images in packs. 5: "C. albicans" is no option C; patients are read in every format and go
# with pictures.
PREPARE_VERSION = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """One declared data file.

    Args:
        subset: Subset it belongs to.
        role: ``pool`` (divided by shares, as a test set is where the catalog says so) or ``test`` (sealed).
        file: As the catalog names it.
        path: Where it lies.
    """

    subset: str
    role: str
    file: str
    path: Place


def data_files(catalog: Catalog) -> list[DataFile]:
    """Lists the data files to read, in an order that does not depend on the catalog's.

    Args:
        catalog: The catalog; where it says ``absent: skip``, subsets that lack a file or their images have none.
    """
    skipped = absent_subsets(catalog) if catalog.spec.absent == "skip" else {}
    declared = (item for item in _declared_files(catalog) if item.subset not in skipped)
    return sorted(declared, key=lambda item: (item.subset, item.role, item.file))


def _declared_files(catalog: Catalog) -> Iterator[DataFile]:
    for subset in catalog.prepared:
        for role, files in ((POOL, subset.pool), (POOL if subset.divides_test else TEST, subset.test)):
            for file in files:
                yield DataFile(subset=subset.name, role=role, file=file, path=catalog.place(file))


def absent_subsets(catalog: Catalog) -> dict[str, str]:
    """Returns what is missing of subsets whose files or image folder are not there, by subset.

    Args:
        catalog: The catalog.
    """
    missing: dict[str, str] = {}
    for item in _declared_files(catalog):
        if not _is_there(catalog, item):
            missing.setdefault(item.subset, str(item.path))
    for name in catalog.names:
        if not catalog.image_root(name).is_dir():
            missing.setdefault(name, f"{catalog.image_root(name)}/")
    return missing


def _is_there(catalog: Catalog, item: DataFile) -> bool:
    return item.path.is_file() or (catalog.subset(item.subset).format in MADE_QUESTIONS and item.path.is_dir())


def subset_sources(catalog: Catalog) -> dict[str, SubsetSource]:
    """Returns what workers must know about each subset.

    Args:
        catalog: The catalog.
    """
    return {
        subset.name: SubsetSource(
            format=subset.format or "",
            image_root=str(catalog.image_root(subset.name).absolute()),
            answer_kind=subset.answer_kind,
            box_form=subset.box_form,
            source_pattern=subset.source_pattern,
            group_pattern=subset.group_pattern,
            namespace=subset.namespace,
            labelled=_labelled(catalog, subset) if subset.format in MADE_QUESTIONS else None,
        )
        for subset in catalog.prepared
    }


def _labelled(catalog: Catalog, subset: SubsetSpec) -> LabelledSubset:
    return LabelledSubset(
        modality=subset.modality,
        area=subset.area,
        task=subset.task,
        class_names=subset.class_names,
        image_root=catalog.image_root(subset.name).absolute(),
        files=tuple(catalog.place(file).absolute() for file in sorted((*subset.pool, *subset.test))),
    )


def require_inputs(catalog: Catalog) -> None:
    """Refuses a catalog whose declared files or image folders are not there; names all of them.

    Args:
        catalog: The catalog.

    Raises:
        ReaderError: Data files are missing, or with ``absent: skip`` those of every subset.
        MissingImagesError: Image folders are missing.
    """
    if not catalog.names:
        raise ReaderError(
            f"no subset of the catalog '{catalog.spec.name}' has files",
            hint="copy it, and give subsets format and pool",
        )
    if catalog.spec.absent == "skip":
        absent = absent_subsets(catalog)
        if len(absent) == len(catalog.names):
            raise ReaderError(
                f"none of the {len(absent)} subsets of '{catalog.spec.name}' is there; the first lacks "
                + next(iter(absent.values())),
                hint="download files and images there, or give the folder that holds them",
            )
        return
    absent_files = [item for item in _declared_files(catalog) if not _is_there(catalog, item)]
    if absent_files:
        listed = "\n".join(f"  {item.subset}: {item.path}" for item in absent_files)
        raise ReaderError(
            f"{len(absent_files)} data files of the catalog '{catalog.spec.name}' are not there:\n{listed}",
            hint="download them there, correct pool and test in the catalog, or say `absent: skip` there",
        )
    roots = {catalog.image_root(name) for name in catalog.names}
    gone = sorted(str(root) for root in roots if not root.is_dir())
    if gone:
        raise MissingImagesError(
            "image folders that are not there: " + ", ".join(gone),
            hint="download the images there, or correct image_root in the catalog",
        )


def inputs_fingerprint(catalog: Catalog, *, seed: int, limits: ImageLimits) -> str:
    """Returns the content hash of specs, settings and data files.

    Args:
        catalog: The catalog.
        seed: Seed of the store.
        limits: What an image may cost.
    """
    subsets = {subset.name: subset.model_dump(mode="json") for subset in catalog.prepared}
    for name, dumped in subsets.items():
        del dumped["metadata"]  # notes: editing one is no reason to prepare the store again
        for note in ("sources", "licence", "origin", "role", "released", "sample_cost"):
            del dumped[note]
        if dumped["box_form"] is None:  # younger than stores: without it they stay as they are
            del dumped["box_form"]
        if not dumped["class_names"]:
            del dumped["class_names"]
        dumped["shares"] = catalog.shares(name).model_dump(mode="json")
        dumped["sampling"] = catalog.sampling(name).model_dump(mode="json")
        dumped["image_root"] = str(catalog.image_root(name).absolute())
        dumped["pool"], dumped["test"] = sorted(dumped["pool"]), sorted(dumped["test"])
    files = {f"{item.subset}/{item.role}/{item.file}": _content(catalog, item) for item in data_files(catalog)}
    return content_hash(
        {
            "version": STORE_VERSION,
            "prepare_version": PREPARE_VERSION,
            "catalog": catalog.spec.name,
            "task_map": catalog.task_map.model_dump(mode="json"),
            "subsets": subsets,
            "leakage": catalog.spec.leakage.model_dump(mode="json"),
            "files": files,
            "seed": seed,
            "max_image_mpx": limits.max_mpx,
            "max_image_bytes": limits.max_bytes,
        }
    )


def _content(catalog: Catalog, item: DataFile) -> str:
    if not item.path.is_dir():
        return _file_hash(item.path)
    # Names only: whether an image has changed is told by its size and time, as with every format.
    digest = hashlib.sha256()
    for found in find_images(item.path, catalog.image_root(item.subset)):
        digest.update(os.fsencode(found.path) + b"\0")
    return digest.hexdigest()


def _file_hash(path: Place) -> str:
    if isinstance(path, S3Place):
        found = path.storage.state(path.key)
        return "" if found is None else f"{found.num_bytes} {found.tag}"  # told without reading it
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetSource:
    """What a worker must know about a subset.

    Args:
        format: Published format.
        image_root: Folder of its images.
        answer_kind: ``any``, or the only kind to keep.
        source_pattern: What the published source of rows to keep contains.
        group_pattern: Finds the patient in an image path.
        namespace: Namespace of its groups.
        box_form: What the numbers of a published box mean.
        labelled: What questions are made by, for a format that brings none.
    """

    format: str
    image_root: str
    answer_kind: str
    source_pattern: str | None
    group_pattern: str | None
    namespace: str
    box_form: BoxForm | None = None
    labelled: LabelledSubset | None = None
