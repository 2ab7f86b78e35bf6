"""The manifest of a store: what is in it, made from what, and what was set aside."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datasets_spec.catalog.keys import Key
from datasets_spec.copies.groups import CopySearch
from datasets_spec.errors import StoreError
from datasets_spec.packs.pack_writer import PackFile
from datasets_spec.splits.leak_levels import LeakCount
from datasets_spec.storage.files import files_in, replace_text
from datasets_spec.storage.lock import name_of
from datasets_spec.storage.place import Place, S3Place

MANIFEST_NAME = "manifest.json"
# Of a store in a bucket: one for every hold of the lock that published, the highest counts.
MANIFESTS = "manifests"
# Raised whenever the content of stored rows changes for equal inputs, so that old stores are rebuilt.
STORE_VERSION = 2
_REBUILD = "prepare the store again: recombine data prepare"


class PartFile(BaseModel):
    """One Parquet file of a store.

    Args:
        path: Path relative to the store, with forward slashes.
        num_rows: Rows in it.
        num_bytes: Size of the file.
        sha256: Hash of its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    num_rows: int
    num_bytes: int
    sha256: str


class Contradiction(BaseModel):
    """A row that shows what another shows, is asked the same and is answered differently.

    Args:
        file: File of the row, as the catalog names it.
        index: 0-based position in it.
        subset: Subset of the other row.
        other_file: Its file.
        other_index: Its position.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    index: int
    subset: str
    other_file: str
    other_index: int


class SubsetCounts(BaseModel):
    """What became of a subset's rows.

    ``read`` is the sum of ``kept``, ``quarantined``, ``duplicates``, ``leaked``, ``not_selected`` and ``not_sampled``.

    Args:
        key: The subset's key as written.
        read: Rows found in its files.
        kept: Rows in the store.
        quarantined: Rows set aside, by reason.
        duplicates: Exact copies of a kept row of the same subset.
        leaked: Rows removed because an evaluation row shows the same image or patient.
        not_selected: Rows of an answer kind or source that the spec does not ask for.
        not_sampled: Usable rows beyond what the spec's sampling keeps.
        flags: Kept rows by flag.
        splits: Kept rows by split.
        labels: Kept rows by split and label; None where labels are as free as the answers.
        partition_fingerprints: Content hash of the ordered rows, by split.
        groups_known: Whether every kept row's patient is known; if not, patients are unknown, not distinct.
        num_grouped: Kept rows whose patient is known; None in a store of a version that did not count them.
        contradicting: Usable rows of which a copy is asked the same and answered differently.
        contradiction: One of them.
        files: Part files in order, by split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    read: int
    kept: int
    quarantined: dict[str, int] = Field(default_factory=dict)
    duplicates: int = 0
    leaked: int = 0
    not_selected: int = 0
    not_sampled: int = 0
    flags: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, dict[str, int]] | None = None
    partition_fingerprints: dict[str, str] = Field(default_factory=dict)
    groups_known: bool = False
    num_grouped: int | None = None
    contradicting: int = 0
    contradiction: Contradiction | None = None
    files: dict[str, tuple[PartFile, ...]] = Field(default_factory=dict)


class StoreManifest(BaseModel):
    """What a store holds; written last, so that a store with a manifest is complete.

    Args:
        version: Version of the store's content.
        catalog_name: Name of the catalog.
        task_map: Name of its task map.
        seed: Seed of splits, orders and option orders.
        fingerprint: Content hash of all rows, whatever machine or order they were prepared in.
        inputs_fingerprint: Content hash of specs, settings and data files it was made from.
        generation: Folder of this build inside the store.
        subsets: Counts by subset name.
        leaks: Rows that showed what a later split shows, by level, before anything was done about them.
        copy_search: How the search for copied pictures went.
        packs: Packs that hold the images; rows name a pack by its number here. None in a store of an earlier version,
            whose rows hold their images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = STORE_VERSION
    catalog_name: str
    task_map: str
    seed: int
    fingerprint: str
    inputs_fingerprint: str
    generation: str
    subsets: dict[str, SubsetCounts]
    leaks: tuple[LeakCount, ...] = ()
    copy_search: CopySearch = CopySearch()
    packs: tuple[PackFile, ...] | None = None


def read_manifest(store_dir: Place) -> StoreManifest | None:
    """Reads the manifest of a store: in a bucket that with the highest number.

    Args:
        store_dir: The store.

    Returns:
        The manifest, or None where there is none.

    Raises:
        StoreError: It cannot be read, or was written by another version.
        StorageError: The store's bucket cannot be used.
    """
    place = store_dir / MANIFEST_NAME if isinstance(store_dir, Path) else _newest(store_dir)
    if place is None:
        return None
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError:
        # In a bucket a higher one may have come, and this one gone, since they were listed.
        return None if isinstance(store_dir, Path) else read_manifest(store_dir)
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"cannot read {place}", hint=_REBUILD) from None
    try:
        manifest = StoreManifest.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"{place} is damaged or of another version ({error.error_count()} problems)",
            hint=_REBUILD,
        ) from None
    if manifest.version != STORE_VERSION:
        raise StoreError(
            f"{place} is of version {manifest.version}, this program reads {STORE_VERSION}",
            hint=_REBUILD,
        )
    return manifest


def write_manifest(store_dir: Place, manifest: StoreManifest, *, fence: int = 0) -> None:
    """Writes a manifest so that readers see the old one or the new one, never half of one.

    Args:
        store_dir: The store.
        manifest: What to write.
        fence: Number of the hold of the store's lock under which it is written; of a store in a bucket, where an owner
            that slept must not replace what its successor wrote.

    Raises:
        FileExistsError: In a bucket: this hold has written one.
    """
    text = manifest.model_dump_json(indent=1)
    if isinstance(store_dir, Path):
        replace_text(store_dir / MANIFEST_NAME, text)
    else:
        place = store_dir / MANIFESTS / f"{name_of(fence)}.json"
        place.storage.create(place.key, text.encode())


def remove_earlier_manifests(store_dir: S3Place) -> None:
    """Removes all manifests but the current one.

    Args:
        store_dir: The store.
    """
    for name in list(files_in(store_dir / MANIFESTS))[:-1]:
        (store_dir / MANIFESTS / name).unlink()


def _newest(store_dir: S3Place) -> S3Place | None:
    names = list(files_in(store_dir / MANIFESTS))
    return store_dir / MANIFESTS / names[-1] if names else None
