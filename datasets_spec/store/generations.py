"""Generations of a store: one is current, others stay while somebody reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_spec.packs.unused import remove_unused
from datasets_spec.storage.files import folders_in, remove_folder, sizes_below
from datasets_spec.storage.lock import name_of
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.lease import is_leased, taken_away
from datasets_spec.store.lock import Hold, locked
from datasets_spec.store.manifest import read_manifest, remove_earlier_manifests

GENERATIONS = "generations"
# Renamed before it is deleted, so that nobody opens half a generation.
_REMOVED = ".removed-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A generation that is not current.

    Args:
        name: Name of its folder.
        num_bytes: Size of its files.
    """

    name: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What became of the generations that are not current.

    Args:
        removed: Those that nobody held.
        held: Those that stay, because they are read or the file system does not say.
        num_bytes: Size of what was removed, packs that no generation uses any more included.
    """

    removed: tuple[Generation, ...] = ()
    held: tuple[Generation, ...] = ()
    num_bytes: int = 0


def remove_unheld(store_dir: Place, current: str | None, hold: Hold) -> Removal:
    """Removes the generations that are not current and that nobody holds, and what only they used.

    Args:
        store_dir: The store.
        current: Folder of the current generation, as in the manifest; None where there is none.
        hold: The store's lock.

    Raises:
        StorageError: The store is in a bucket that cannot be used, or the lock was lost.
    """
    hold.require()
    if isinstance(store_dir, S3Place):
        remove_earlier_manifests(store_dir)
        told = list(_removed_from_bucket(store_dir, current, hold.fence))
    else:
        told = list(_removed_from_disk(store_dir, current))
    removed = tuple(found for found, is_gone in told if is_gone)
    held = tuple(found for found, is_gone in told if not is_gone)
    stay = [store_dir / GENERATIONS / name for name in folders_in(store_dir / GENERATIONS)]
    num_bytes = sum(old.num_bytes for old in removed) + remove_unused(store_dir, stay)
    return Removal(removed=removed, held=held, num_bytes=num_bytes)


def _removed_from_disk(store_dir: Path, current: str | None) -> Iterator[tuple[Generation, bool]]:
    """Generations that are not current, and whether each is gone now."""
    for folder in sorted((store_dir / GENERATIONS).iterdir()):
        if folder == store_dir / (current or "") or not folder.is_dir():
            continue
        found = Generation(name=folder.name.removeprefix(_REMOVED), num_bytes=sum(sizes_below(folder).values()))
        is_taken = folder.name.startswith(_REMOVED)
        place = folder if is_taken else taken_away(folder, _REMOVED + folder.name)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        yield found, place is not None


def _removed_from_bucket(store_dir: S3Place, current: str | None, fence: int) -> Iterator[tuple[Generation, bool]]:
    """The same of a bucket; what a higher hold of the lock has begun is none of ours."""
    for name in folders_in(store_dir / GENERATIONS):
        folder = store_dir / GENERATIONS / name
        if name >= name_of(fence) or f"{GENERATIONS}/{name}" == current:
            continue
        sizes = sizes_below(folder)
        if not sizes:  # some servers show folders that were emptied
            continue
        found = Generation(name=name, num_bytes=sum(sizes.values()))
        is_free = not is_leased(folder)
        if is_free:
            remove_folder(folder)
        yield found, is_free


def collect_garbage(store_dir: Place) -> Removal:
    """Removes what is left of earlier generations, unless somebody reads it.

    Args:
        store_dir: The store.

    Raises:
        StoreError: The store is being prepared, its manifest cannot be read, or the folder cannot be written.
        StorageError: The same of a bucket.
    """
    if not (store_dir / GENERATIONS).is_dir():
        return Removal()
    with locked(store_dir) as hold:
        manifest = read_manifest(store_dir)
        return remove_unheld(store_dir, manifest.generation if manifest else None, hold)
