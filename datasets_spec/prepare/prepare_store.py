"""Prepares a store: checked, de-duplicated, split, ordered, written as Parquet, announced last."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets_spec.atomic import sync, sync_folders
from datasets_spec.canonical import short_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.groups import group_copies
from datasets_spec.errors import StoreError
from datasets_spec.images.limits import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_MAX_IMAGE_MPX, ImageLimits
from datasets_spec.prepare.counts import build_manifest
from datasets_spec.prepare.inputs import (
    IMAGES_NAME,
    absent_subsets,
    data_files,
    images_unchanged,
    inputs_fingerprint,
    require_inputs,
    subset_sources,
)
from datasets_spec.prepare.quarantine import Tally, require_within_limit, write_quarantine
from datasets_spec.prepare.second_pass import write_row_list
from datasets_spec.prepare.survey import (
    Survey,
    known_patients,
    require_balance,
    survey_staging,
    tie_rows,
    write_image_states,
)
from datasets_spec.prepare.tied_pairs import tied_rows
from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.row_plan import make_plan
from datasets_spec.store.damages import find_damages
from datasets_spec.store.generations import GENERATIONS, LEASE_NAME, locked, remove_unheld
from datasets_spec.store.manifest import StoreManifest, read_manifest, write_manifest
from datasets_spec.store.remarks import tell_patients_and_contradictions
from datasets_spec.store.secret import make_secret
from datasets_spec.store.store import QUARANTINE_NAME, ROWS_NAME
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, write_tied_rows

STAGING = "staging"


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
    with locked(store_dir):
        before = _readable_manifest(store_dir)
        if before and _is_current(before, catalog, store_dir, fingerprint, check_hashes, tell):
            tell(f"the store {store_dir} is current: nothing to do")
            tallies = {name: _tally_of(before, name) for name in before.subsets}
            require_within_limit(tallies, quarantine_limit, store_dir / QUARANTINE_NAME)
            return PreparedStore(manifest=before, was_current=True)
        generation = store_dir / GENERATIONS / f"{short_hash(fingerprint)}-{uuid.uuid4().hex[:8]}"
        generation.mkdir(parents=True)
        (generation / LEASE_NAME).touch()
        try:
            manifest = _build(catalog, store_dir, generation, seed, quarantine_limit, limits, fingerprint, tell)
        except BaseException:
            shutil.rmtree(generation, ignore_errors=True)
            raise
        write_manifest(store_dir, manifest)
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
) -> StoreManifest:
    from datasets_spec.prepare.ray_jobs import compare_pairs, stage_rows, store_rows
    from datasets_spec.prepare.shared_folder import require_shared_folder

    files, sources = data_files(catalog), subset_sources(catalog)
    secret_path = make_secret(store_dir)
    staging = _private_staging(store_dir, generation)
    inputs = [item.path for item in files] + [Path(source.image_root) for source in sources.values()]
    require_shared_folder(generation, inputs, tell)
    tell(f"reading {len(files)} files of {len(sources)} subsets and opening every image")
    stage_rows(files, sources, staging, seed=seed, limits=limits)
    survey = survey_staging(staging, files, sources)
    shares = {name: catalog.shares(name) for name in catalog.names}
    sampling = {name: catalog.sampling(name) for name in catalog.names}
    policy = catalog.spec.leakage
    known = known_patients(survey.rows) if policy.group != "warn" else {}
    groups = group_copies(
        survey.images, limits=limits, flips=policy.flips, known=known, on_event=tell, compare_chunks=compare_pairs
    )
    tie_rows(survey.rows, groups, policy)
    plan = make_plan(survey.rows, shares, seed=seed, sampling=sampling, policy=policy)
    survey.set_aside(plan.removed)
    require_balance(survey, plan)
    write_quarantine(survey.quarantined, store_dir / QUARANTINE_NAME)
    _tell_counts(survey, tell)
    require_within_limit(survey.tallies, quarantine_limit, store_dir / QUARANTINE_NAME)
    num_rows = sum(len(rows) for rows in plan.partitions.values())
    tell(f"writing {num_rows} rows in {len(plan.partitions)} partitions")
    parts = store_rows(plan, sources, staging, generation, limits=limits, secret_path=secret_path)
    write_row_list(plan, generation / ROWS_NAME)
    write_image_states(staging, generation / IMAGES_NAME)
    write_tied_rows(tied_rows(survey, plan, groups), generation / TIED_ROWS_NAME)
    shutil.rmtree(staging, ignore_errors=True)
    for file in (generation / ROWS_NAME, generation / IMAGES_NAME, generation / TIED_ROWS_NAME):
        sync(file)
    sync_folders(generation)
    sync(generation.parent)
    name = f"{GENERATIONS}/{generation.name}"
    manifest = build_manifest(
        catalog, plan, survey, parts, seed=seed, search=groups.search, inputs_fingerprint=fingerprint, generation=name
    )
    tell_patients_and_contradictions(manifest.subsets, tell)
    return manifest


def _private_staging(store_dir: Path, generation: Path) -> Path:
    """Makes the folder of staged rows, which hold paths and hashes of patients as links need them.

    Only its owner can open it. What a killed preparation left of its own goes: the caller holds the lock.
    """
    for left in (store_dir / GENERATIONS).glob(f"*/{STAGING}"):
        shutil.rmtree(left, ignore_errors=True)
    staging = generation / STAGING
    staging.mkdir(mode=0o700)
    return staging


def _tell_counts(survey: Survey, tell: Callable[[str], None]) -> None:
    for name, tally in sorted(survey.tallies.items()):
        aside = ", ".join(f"{reason.value} {num}" for reason, num in tally.reasons.most_common())
        kept = tally.read - sum(tally.reasons.values())
        tell(f"{name}: {kept} of {tally.read} rows kept" + (f" (set aside: {aside})" if aside else ""))


def _readable_manifest(store_dir: Path) -> StoreManifest | None:
    try:
        return read_manifest(store_dir)
    except StoreError:
        # A damaged store is rebuilt: it holds nothing that its inputs do not.
        return None


def _is_current(
    manifest: StoreManifest,
    catalog: Catalog,
    store_dir: Path,
    fingerprint: str,
    check_hashes: bool,
    tell: Callable[[str], None],
) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if manifest.inputs_fingerprint != fingerprint:
        return False
    damages = find_damages(store_dir, manifest, check_hashes=check_hashes)
    if damages:
        tell(f"{len(damages)} files of the store are damaged, the first {damages[0]}: all are written again")
        return False
    try:
        states = pq.read_table(store_dir / manifest.generation / IMAGES_NAME, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        tell(f"{IMAGES_NAME} of the store is damaged: all files are written again")
        return False
    return images_unchanged(states, subset_sources(catalog))


def _tally_of(manifest: StoreManifest, name: str) -> Tally:
    counts = manifest.subsets[name]
    tally = Tally(read=counts.read)
    tally.reasons[QuarantineReason.not_selected] = counts.not_selected
    tally.reasons[QuarantineReason.not_sampled] = counts.not_sampled
    tally.reasons.update({QuarantineReason(reason): num for reason, num in counts.quarantined.items()})
    return tally
