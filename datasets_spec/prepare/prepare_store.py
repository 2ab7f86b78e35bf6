"""Prepares a store: checked, de-duplicated, split, ordered, written as Parquet, announced last."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from datasets_spec.atomic import sync, sync_folders
from datasets_spec.canonical import short_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.groups import group_copies
from datasets_spec.errors import StoreError, UserError
from datasets_spec.images.limits import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_MPX, ImageLimits
from datasets_spec.packs.pack_writer import PACKS
from datasets_spec.packs.unused import forget, remove_unfinished, write_used
from datasets_spec.prepare.counts import build_manifest
from datasets_spec.prepare.current_store import is_current, readable_manifest, tally_of
from datasets_spec.prepare.finish_rows import finish_block
from datasets_spec.prepare.inputs import (
    IMAGES_NAME,
    DataFile,
    SubsetSource,
    absent_subsets,
    data_files,
    inputs_fingerprint,
    require_inputs,
    subset_sources,
)
from datasets_spec.prepare.opening.attempts import num_repeated
from datasets_spec.prepare.opening.image_facts import FACTS_NAME, write_facts, write_image_states
from datasets_spec.prepare.opening.open_block import OpenedBlock, OpeningOrder, open_block
from datasets_spec.prepare.opening.open_wanted import OpenedImages, open_wanted
from datasets_spec.prepare.opening.wanted_images import find_wanted, opening_of
from datasets_spec.prepare.progress import Progress
from datasets_spec.prepare.quarantine import AsideRows, require_within_limit, write_quarantine
from datasets_spec.prepare.second_pass import write_row_list
from datasets_spec.prepare.survey import Survey, require_balance, survey_staging
from datasets_spec.prepare.surveying.seen_images import seen_images
from datasets_spec.prepare.surveying.tied_pairs import tied_rows
from datasets_spec.prepare.surveying.ties import known_patients, tie_rows
from datasets_spec.splits.row_plan import make_plan
from datasets_spec.store.damages import find_damages
from datasets_spec.store.generations import GENERATIONS, LEASE_NAME, locked, remove_unheld
from datasets_spec.store.manifest import StoreManifest, write_manifest
from datasets_spec.store.remarks import tell_patients_and_contradictions
from datasets_spec.store.secret import make_secret
from datasets_spec.store.store import QUARANTINE_NAME, ROWS_NAME
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, write_tied_rows

STAGING = "staging"
REFUSED_NAME = "quarantine-refused.parquet"


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
    store_dir: Path,
    *,
    seed: int = 0,
    quarantine_limit: float = 0.05,
    max_image_mpx: float = DEFAULT_MAX_IMAGE_MPX,
    max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES,
    check_hashes: bool = False,
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
    """
    tell = on_event or (lambda message: None)
    limits = ImageLimits(max_mpx=max_image_mpx, max_bytes=max_image_bytes)
    require_inputs(catalog)
    if catalog.spec.absent == "skip":
        for name, lacking in absent_subsets(catalog).items():
            tell(f"{name}: left out, {lacking} is not there")
    fingerprint = inputs_fingerprint(catalog, seed=seed, limits=limits)
    before = readable_manifest(store_dir)
    # Looked at without the lock, which a store on a read-only mount cannot give.
    if before and is_current(before, catalog, store_dir, fingerprint=fingerprint, check_hashes=check_hashes, tell=tell):
        tell(f"the store {store_dir} is current: nothing to do")
        tallies = {name: tally_of(before, name) for name in before.subsets}
        require_within_limit(tallies, quarantine_limit, store_dir / QUARANTINE_NAME)
        return PreparedStore(manifest=before, was_current=True)
    with locked(store_dir) as has_lock:
        if not has_lock:
            tell(f"{store_dir} is on a file system without locks: prepare it from one place at a time")
        generation = store_dir / GENERATIONS / f"{short_hash(fingerprint)}-{uuid.uuid4().hex[:8]}"
        generation.mkdir(parents=True)
        (generation / LEASE_NAME).touch()
        try:
            if has_lock:
                _remove_left_staging(store_dir)
                remove_unfinished(store_dir)
            if before and check_hashes:
                damages = find_damages(store_dir, before, check_hashes=True)
                forget(store_dir, [Path(damage.path).name for damage in damages if damage.is_pack])
            manifest, aside = _build(
                catalog, store_dir, generation, seed, quarantine_limit, limits, fingerprint, tell, on_progress
            )
            write_quarantine(aside, store_dir / QUARANTINE_NAME)
        except BaseException as error:
            shutil.rmtree(generation, ignore_errors=True)
            if _is_full(error):
                raise _no_space(store_dir) from None
            raise
        write_manifest(store_dir, manifest)
        (store_dir / REFUSED_NAME).unlink(missing_ok=True)
        held = remove_unheld(store_dir, manifest.generation).held
    same = ", the same rows as before" if before and before.fingerprint == manifest.fingerprint else ""
    tell(f"the store {store_dir} is ready: fingerprint {short_hash(manifest.fingerprint)}{same}")
    if held:
        names = ", ".join(old.name for old in held)
        tell(f"earlier rows stay, for a running study reads them: {names}. Later: recombine data gc STUDY")
    return PreparedStore(manifest=manifest, was_current=False)


def _build(
    catalog: Catalog,
    store_dir: Path,
    generation: Path,
    seed: int,
    quarantine_limit: float,
    limits: ImageLimits,
    fingerprint: str,
    tell: Callable[[str], None],
    renew: Callable[[str], None] | None,
) -> tuple[StoreManifest, AsideRows]:
    from datasets_spec.prepare.ray_jobs import compare_pairs, store_rows
    from datasets_spec.prepare.shared_folder import require_shared_folder

    files, sources = data_files(catalog), subset_sources(catalog)
    secret_path = make_secret(store_dir)
    staging = _private_staging(generation)
    inputs = [item.path for item in files] + [Path(source.image_root) for source in sources.values()]
    require_shared_folder(generation, inputs, tell)
    opened = _read_and_open(files, sources, store_dir, staging, seed, limits, tell, renew)
    survey = survey_staging(staging, files, sources)
    survey = replace(survey, images=seen_images(opened.facts, survey.rows.images.names))
    shares = {name: catalog.shares(name) for name in catalog.names}
    sampling = {name: catalog.sampling(name) for name in catalog.names}
    policy = catalog.spec.leakage
    known = known_patients(survey.rows) if policy.group != "warn" else {}
    groups = group_copies(
        survey.images, limits=limits, flips=policy.flips, known=known, on_event=tell, compare_chunks=compare_pairs
    )
    links = tie_rows(survey.rows, groups)
    plan = make_plan(links, shares, seed=seed, sampling=sampling, policy=policy)
    survey.set_aside(plan.removed)
    require_balance(survey, plan)
    _tell_counts(survey, tell)
    _require_within_limit(survey, quarantine_limit, store_dir / REFUSED_NAME)
    num_rows = sum(len(rows) for rows in plan.partitions.values())
    tell(f"writing {num_rows} rows in {len(plan.partitions)} partitions")
    wrote = Progress("wrote", "rows", num_rows, tell, renew)
    parts = store_rows(plan, staging, generation, secret_path=secret_path, on_rows=wrote.add)
    write_row_list(plan, generation / ROWS_NAME)
    write_image_states(opened.facts, sources, generation / IMAGES_NAME)
    write_used(generation, [pack.name for pack in opened.packs])
    write_tied_rows(tied_rows(survey, plan, groups), generation / TIED_ROWS_NAME)
    shutil.rmtree(staging, ignore_errors=True)
    for file in (generation / ROWS_NAME, generation / IMAGES_NAME, generation / TIED_ROWS_NAME):
        sync(file)
    sync_folders(generation)
    sync(generation.parent)
    name = f"{GENERATIONS}/{generation.name}"
    manifest = build_manifest(
        catalog,
        plan,
        survey,
        links,
        parts,
        seed=seed,
        search=groups.search,
        inputs_fingerprint=fingerprint,
        generation=name,
        packs=opened.packs,
    )
    tell_patients_and_contradictions(manifest.subsets, tell)
    return manifest, survey.aside


def _read_and_open(
    files: Sequence[DataFile],
    sources: dict[str, SubsetSource],
    store_dir: Path,
    staging: Path,
    seed: int,
    limits: ImageLimits,
    tell: Callable[[str], None],
    renew: Callable[[str], None] | None,
) -> OpenedImages:
    """Reads all rows, opens every image once and finishes the rows."""
    from datasets_spec.prepare.ray_jobs import read_all_rows, side_by_side

    tell(f"reading {len(files)} files of {len(sources)} subsets")
    read = Progress("read", "rows", None, tell, renew)
    read_all_rows(files, sources, staging, on_rows=read.add)
    wanted = find_wanted(staging, sources)
    packs = store_dir / PACKS
    packs.mkdir(exist_ok=True)
    opening = opening_of(limits)

    def open_blocks(orders: Sequence[OpeningOrder]) -> list[OpenedBlock]:
        num = sum(len(order.places) for order in orders)
        known = f"{len(wanted.places) - num} of {len(wanted.places)} images are known from before; "
        tell(f"{known if num < len(wanted.places) else ''}opening {num} images")
        progress = Progress("opened", "images", num, tell, renew)
        work = partial(open_block, packs=packs.absolute(), staging=staging.absolute(), limits=limits, opening=opening)
        return side_by_side(work, orders, lambda block: progress.add(block.num_images))

    opened = open_wanted(wanted, store_dir, staging, opening=opening, open_blocks=open_blocks)
    repeated = num_repeated(staging)
    if repeated:
        tell(f"{repeated} tasks were begun again, for their process had ended; images then had a process of their own")
    facts_path = staging / FACTS_NAME
    write_facts(opened.facts, facts_path)
    finish = partial(
        finish_block, sources=sources, seed=seed, staging=staging.absolute(), facts_path=facts_path.absolute()
    )
    side_by_side(finish, wanted.blocks, Progress("finished", "rows", read.num, tell, renew).add)
    return opened


def _require_within_limit(survey: Survey, limit: float, list_path: Path) -> None:
    """Lists the rows of a refused preparation in a file of its own: that of the store is about what is stored."""
    try:
        require_within_limit(survey.tallies, limit, list_path)
    except UserError:
        write_quarantine(survey.aside, list_path)
        raise


def _is_full(error: BaseException) -> bool:
    # As text: it may come out of a worker, wrapped by Ray, or out of Arrow.
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def _no_space(store_dir: Path) -> StoreError:
    free_gib = shutil.disk_usage(store_dir).free / 2**30
    return StoreError(
        f"no space is left for the store {store_dir} ({free_gib:.1f} GiB free, now that the unfinished part is gone)",
        hint="make room, or give the study another `store`, and prepare again; Ray's own folder may be the full one",
    )


def _private_staging(generation: Path) -> Path:
    """Makes the folder of staged rows, which hold paths and hashes of patients as links need them.

    Only its owner can open it.
    """
    staging = generation / STAGING
    staging.mkdir(mode=0o700)
    return staging


def _remove_left_staging(store_dir: Path) -> None:
    """Removes what a killed preparation left; the caller holds the lock, so none is at work."""
    for left in (store_dir / GENERATIONS).glob(f"*/{STAGING}"):
        shutil.rmtree(left, ignore_errors=True)


def _tell_counts(survey: Survey, tell: Callable[[str], None]) -> None:
    for name, tally in sorted(survey.tallies.items()):
        aside = ", ".join(f"{reason.value} {num}" for reason, num in tally.reasons.most_common())
        kept = tally.read - sum(tally.reasons.values())
        tell(f"{name}: {kept} of {tally.read} rows kept" + (f" (set aside: {aside})" if aside else ""))
