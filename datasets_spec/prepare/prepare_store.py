"""Prepares a store: checked, de-duplicated, split, ordered, written as Parquet, announced last."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from datasets_spec.canonical import short_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import StorageError, StoreError
from datasets_spec.images.limits import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_MPX, ImageLimits
from datasets_spec.packs.unused import forget, remove_unfinished
from datasets_spec.prepare.build_store import REFUSED_NAME, STAGING, StoreOrder, build_store
from datasets_spec.prepare.current_store import is_current, readable_manifest, tally_of
from datasets_spec.prepare.inputs import (
    absent_subsets,
    inputs_fingerprint,
    require_inputs,
)
from datasets_spec.prepare.quarantine import require_within_limit, write_quarantine
from datasets_spec.storage.files import folders_in, remove_folder
from datasets_spec.storage.lock import name_of
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.damages import find_damages
from datasets_spec.store.generations import GENERATIONS, remove_unheld
from datasets_spec.store.lease import LEASE_NAME
from datasets_spec.store.lock import Hold, locked
from datasets_spec.store.manifest import StoreManifest, write_manifest
from datasets_spec.store.store import QUARANTINE_NAME


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedStore:
    """What preparing led to.

    Args:
        manifest: The store's manifest.
        was_current: True when nothing had changed and nothing was done.
    """

    manifest: StoreManifest
    was_current: bool


def prepare_store(
    catalog: Catalog,
    store_dir: Place,
    *,
    seed: int = 0,
    quarantine_limit: float = 0.05,
    max_image_mpx: float = DEFAULT_MAX_IMAGE_MPX,
    max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES,
    check_hashes: bool = False,
    retry_images: bool = False,
    on_event: Callable[[str], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> PreparedStore:
    """Prepares a store from a catalog with Ray Data; does nothing when the inputs have not changed.

    The caller has connected to Ray. A rebuilt store is written as a new generation beside the old one, which
    stays whole until the new manifest replaces the old, and as long as a :class:`Store` that is open reads it.

    Args:
        catalog: What to prepare.
        store_dir: Where to.
        seed: Decides splits, row orders and option orders.
        quarantine_limit: Largest share of a subset's rows that may be unusable.
        max_image_mpx: Largest image, in megapixels.
        max_image_bytes: Largest image file.
        check_hashes: Whether the files of a current store are compared with their hashes, not by size alone.
        retry_images: Whether images that ended the process that opened them, or ran out of memory, are opened again:
            what can be read now joins the rows, which changes the store's fingerprint.
        on_event: Told what is being done and decided, in words without row contents.
        on_progress: Told how far it is, with every block of rows, to replace what it was told before; where it is
            None, ``on_event`` is told now and then.

    Raises:
        ReaderError: Data files are missing or unreadable.
        MissingImagesError: Image folders, or many images, are missing.
        QuarantineLimitError: Too many rows of a subset cannot be used.
        LeakageError: The leakage guard failed.
        StoreError: Another process prepares this store, a node does not see it, rows or parts were lost on the
            way, or an image changed meanwhile.
        StorageError: A bucket cannot be used, or another process holds the lock of a store in one.
    """
    tell = on_event or (lambda message: None)
    limits = ImageLimits(max_mpx=max_image_mpx, max_bytes=max_image_bytes)
    require_inputs(catalog)
    if catalog.spec.absent == "skip":
        for name, lacking in absent_subsets(catalog).items():
            tell(f"{name}: left out, {lacking} is not there")
    fingerprint = inputs_fingerprint(catalog, seed=seed, limits=limits)
    order = StoreOrder(
        catalog=catalog,
        store_dir=store_dir,
        generation=store_dir / GENERATIONS / f"{short_hash(fingerprint)}-{uuid.uuid4().hex[:8]}",
        seed=seed,
        quarantine_limit=quarantine_limit,
        limits=limits,
        retry_images=retry_images,
        fingerprint=fingerprint,
        tell=tell,
        renew=on_progress,
    )
    before = readable_manifest(store_dir)
    # Looked at without the lock, which a store on a read-only mount cannot give.
    if before and _is_current(before, order, check_hashes):
        return PreparedStore(manifest=before, was_current=True)
    return _prepared_under_lock(order, before, check_hashes)


def _prepared_under_lock(order: StoreOrder, before: StoreManifest | None, check_hashes: bool) -> PreparedStore:
    """Builds a store, unless another process has done so since it was looked at."""
    store_dir, tell = order.store_dir, order.tell
    with locked(store_dir, is_patient=True, tell=tell) as hold:
        now = readable_manifest(store_dir)
        if now and now != before and _is_current(now, order, check_hashes):
            return PreparedStore(manifest=now, was_current=True)
        if not hold.is_alone:
            tell(f"{store_dir} is on a file system without locks: prepare it from one place at a time")
        if isinstance(store_dir, S3Place):
            name = f"{name_of(hold.fence)}-{short_hash(order.fingerprint)}"
            order = replace(order, generation=store_dir / GENERATIONS / name)
        manifest = _built(order, before if check_hashes else None, hold)
        held = remove_unheld(store_dir, manifest.generation, hold).held
    same = ", the same rows as before" if before and before.fingerprint == manifest.fingerprint else ""
    tell(f"the store {store_dir} is ready: fingerprint {short_hash(manifest.fingerprint)}{same}")
    if held:
        names = ", ".join(old.name for old in held)
        tell(f"earlier rows stay, for a running study reads them: {names}. Later: recombine data gc STUDY")
    return PreparedStore(manifest=manifest, was_current=False)


def _is_current(manifest: StoreManifest, order: StoreOrder, check_hashes: bool) -> bool:
    """Whether nothing is to be done; too many unusable rows are refused here as well."""
    if not is_current(
        manifest,
        order.catalog,
        order.store_dir,
        fingerprint=order.fingerprint,
        check_hashes=check_hashes,
        retry_images=order.retry_images,
        tell=order.tell,
    ):
        return False
    order.tell(f"the store {order.store_dir} is current: nothing to do")
    tallies = {name: tally_of(manifest, name) for name in manifest.subsets}
    require_within_limit(tallies, order.quarantine_limit, order.store_dir / QUARANTINE_NAME)
    return True


def _built(order: StoreOrder, suspect: StoreManifest | None, hold: Hold) -> StoreManifest:
    """Builds and announces a generation; what is left of one that fails goes.

    Args:
        order: What to build.
        suspect: Manifest of packs whose bytes are compared with their hashes before they are used again.
        hold: The store's lock.
    """
    store_dir = order.store_dir
    order.generation.mkdir(parents=True)
    if isinstance(order.generation, Path):
        (order.generation / LEASE_NAME).touch()
    try:
        if hold.is_alone:
            _remove_left_staging(store_dir, hold)
            remove_unfinished(store_dir, hold.require)
        if suspect is not None:
            damages = find_damages(store_dir, suspect, check_hashes=True)
            forget(store_dir, [Path(damage.path).name for damage in damages if damage.is_pack])
        manifest, aside = build_store(order, hold)
        hold.require()
        _require_packs(store_dir, manifest)
        hold.require()  # once more: the list has no number, by which a successor's would count
        write_quarantine(aside, store_dir / QUARANTINE_NAME)
    except BaseException as error:
        with suppress(StorageError):  # the bucket is the trouble: what is left goes with the next preparation
            remove_folder(order.generation)
        if isinstance(store_dir, Path) and _is_full(error):
            raise _no_space(store_dir) from None
        raise
    write_manifest(store_dir, manifest, fence=hold.fence)
    (store_dir / REFUSED_NAME).unlink(missing_ok=True)
    return manifest


def _require_packs(store_dir: Place, manifest: StoreManifest) -> None:
    """Makes sure that what a bucket's manifest will name is there: an owner of the lock that slept may tidy up late."""
    if isinstance(store_dir, S3Place) and (gone := find_damages(store_dir, manifest, check_hashes=False)):
        told = f"{len(gone)} files of the store are gone again, the first: {gone[0]}"
        raise StoreError(told, hint="prepare the store again: recombine data prepare")


def _is_full(error: BaseException) -> bool:
    # As text: it may come out of a worker, wrapped by Ray, or out of Arrow.
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def _no_space(store_dir: Path) -> StoreError:
    free_gib = shutil.disk_usage(store_dir).free / 2**30
    return StoreError(
        f"no space is left for the store {store_dir} ({free_gib:.1f} GiB free, now that the unfinished part is gone)",
        hint="make room, or give the study another `store`, and prepare again; Ray's own folder may be the full one",
    )


def _remove_left_staging(store_dir: Place, hold: Hold) -> None:
    """Removes what a killed preparation left; in a bucket nothing of a later hold, for the owner of this may sleep."""
    hold.require()
    for name in folders_in(store_dir / GENERATIONS):
        if isinstance(store_dir, Path) or name < name_of(hold.fence):
            remove_folder(store_dir / GENERATIONS / name / STAGING)
