"""Builds one generation of a store, step by step: rows, images, plan, parts, manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from datasets_spec.atomic import sync, sync_folders
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.groups import CopyGroups, group_copies
from datasets_spec.copies.known_pairs import read_known, write_known
from datasets_spec.copies.known_shortlist import known_shortlist
from datasets_spec.errors import UserError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.packs.pack_writer import PACKS
from datasets_spec.packs.unused import write_used
from datasets_spec.prepare.counts import build_manifest
from datasets_spec.prepare.finish_rows import finish_block
from datasets_spec.prepare.inputs import IMAGES_NAME, DataFile, SubsetSource, data_files, subset_sources
from datasets_spec.prepare.opening.attempts import num_repeated
from datasets_spec.prepare.opening.image_facts import FinishingOrders, write_image_states
from datasets_spec.prepare.opening.open_block import OpenedBlock, OpeningOrders, open_block
from datasets_spec.prepare.opening.open_wanted import OpenedImages, open_wanted
from datasets_spec.prepare.opening.wanted_images import WantedImages, find_wanted, opening_of
from datasets_spec.prepare.progress import Progress
from datasets_spec.prepare.quarantine import AsideRows, require_within_limit, write_quarantine
from datasets_spec.prepare.survey import Survey, require_balance, survey_staging
from datasets_spec.prepare.surveying.seen_images import seen_images
from datasets_spec.prepare.surveying.tied_pairs import tied_rows
from datasets_spec.prepare.surveying.ties import known_patients, tie_rows
from datasets_spec.prepare.write_rows import write_row_list
from datasets_spec.splits.links import Links
from datasets_spec.splits.row_plan import RowPlan, make_plan
from datasets_spec.storage.files import remove_folder, replace_file
from datasets_spec.storage.place import Place, as_place
from datasets_spec.store.generations import GENERATIONS
from datasets_spec.store.lock import Hold
from datasets_spec.store.manifest import StoreManifest
from datasets_spec.store.remarks import tell_remarks
from datasets_spec.store.secret import make_secret
from datasets_spec.store.store import ROWS_NAME
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, write_tied_rows

STAGING = "staging"
REFUSED_NAME = "quarantine-refused.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreOrder:
    """What to build, and where.

    Args:
        catalog: What to prepare.
        store_dir: The store.
        generation: A new folder in it.
        seed: Decides splits, row orders and option orders.
        quarantine_limit: Largest share of a subset's rows that may be unusable.
        limits: What an image may cost.
        retry_images: Whether images that could not be opened for the time being make it worth building.
        fingerprint: Hash of the inputs.
        tell: Told what is being done.
        renew: Told how far it is; None where ``tell`` is told now and then.
    """

    catalog: Catalog
    store_dir: Place
    generation: Place
    seed: int
    quarantine_limit: float
    limits: ImageLimits
    retry_images: bool
    fingerprint: str
    tell: Callable[[str], None]
    renew: Callable[[str], None] | None

    @property
    def staging(self) -> Place:
        """Folder of staged rows."""
        return self.generation / STAGING

    def progress(self, doing: str, what: str, total: int | None) -> Progress:
        """Returns a count of rows or images that tells how far it is."""
        return Progress(doing, what, total, self.tell, self.renew)


def build_store(order: StoreOrder, hold: Hold) -> tuple[StoreManifest, AsideRows]:
    """Builds a generation; it is complete when the caller writes its manifest.

    Args:
        order: What to build.
        hold: The store's lock.

    Returns:
        Its manifest, and the rows that are not in it.

    Raises:
        ReaderError: Data files are unreadable.
        MissingImagesError: Many images are missing.
        QuarantineLimitError: Too many rows of a subset cannot be used.
        LeakageError: The leakage guard failed.
        StoreError: A node does not see the store, rows or parts were lost on the way, or an image changed meanwhile.
        StorageError: A bucket cannot be used, or its lock was lost.
    """
    from datasets_spec.prepare.shared_folder import require_shared_folder

    files, sources = data_files(order.catalog), subset_sources(order.catalog)
    secret_path = make_secret(order.store_dir)
    # Staged rows hold paths, and hashes of patients as links need them: only their owner can open the folder.
    order.staging.mkdir(mode=0o700)
    inputs = [item.path for item in files] + [as_place(source.image_root) for source in sources.values()]
    require_shared_folder(order.generation, inputs, order.tell)
    wanted, num_rows = _read_rows(order, files, sources)
    opened = _open_images(order, wanted)
    _finish_rows(order, sources, wanted, opened, num_rows)
    survey = survey_staging(order.staging, files, sources)
    survey = replace(survey, images=seen_images(opened.facts, survey.rows.images.names))
    groups = _find_copies(order, survey, hold)
    links = tie_rows(survey.rows, groups, order.catalog.spec.leakage)
    plan = _plan(order, survey, links)
    parts = _write(order, plan, secret_path)
    replace_file(order.generation / IMAGES_NAME, partial(write_image_states, opened.facts, sources))
    write_used(order.generation, [pack.name for pack in opened.packs])
    replace_file(order.generation / TIED_ROWS_NAME, partial(write_tied_rows, tied_rows(survey, plan, groups)))
    _bring_to_disk(order)
    manifest = build_manifest(
        order.catalog,
        plan,
        survey,
        links,
        parts,
        seed=order.seed,
        search=groups.search,
        inputs_fingerprint=order.fingerprint,
        generation=f"{GENERATIONS}/{order.generation.name}",
        packs=opened.packs,
    )
    tell_remarks(manifest.subsets, order.tell)
    return manifest, survey.aside


def _read_rows(
    order: StoreOrder, files: Sequence[DataFile], sources: dict[str, SubsetSource]
) -> tuple[WantedImages, int]:
    """Reads all rows; returns the images that they name, and how many there are."""
    from datasets_spec.prepare.ray_jobs import read_all_rows

    order.tell(f"reading {len(files)} files of {len(sources)} subsets")
    read = order.progress("read", "rows", None)
    read_all_rows(files, sources, order.staging, on_rows=read.add)
    return find_wanted(order.staging, sources), read.num


def _open_images(order: StoreOrder, wanted: WantedImages) -> OpenedImages:
    """Opens every image that is not known from before."""
    from datasets_spec.prepare.ray_jobs import side_by_side

    packs, opening = order.store_dir / PACKS, opening_of(order.limits)
    packs.mkdir(exist_ok=True)
    work = partial(
        open_block,
        packs=packs.absolute(),
        staging=order.staging.absolute(),
        limits=order.limits,
        opening=opening,
    )

    def open_blocks(blocks: OpeningOrders) -> list[OpenedBlock]:
        num_wanted, num = len(wanted.places), blocks.num_images
        known = f"{num_wanted - num} of {num_wanted} images are known from before; " if num < num_wanted else ""
        order.tell(f"{known}opening {num} images")
        progress = order.progress("opened", "images", num)
        return side_by_side(work, blocks, lambda block: progress.add(block.num_images))

    opened = open_wanted(wanted, order.store_dir, order.staging, opening=opening, open_blocks=open_blocks)
    if repeated := num_repeated(order.staging):
        order.tell(
            f"{repeated} tasks were begun again, for their process had ended; images then had a process of their own"
        )
    return opened


def _finish_rows(
    order: StoreOrder, sources: dict[str, SubsetSource], wanted: WantedImages, opened: OpenedImages, num_rows: int
) -> None:
    """Gives all rows what was learned of their images."""
    from datasets_spec.prepare.ray_jobs import side_by_side

    finish = partial(finish_block, sources=sources, seed=order.seed, staging=order.staging.absolute())
    orders = FinishingOrders(wanted.blocks, opened.facts)
    side_by_side(finish, orders, order.progress("finished", "rows", num_rows).add)


def _find_copies(order: StoreOrder, survey: Survey, hold: Hold) -> CopyGroups:
    """Groups images that show the same picture; pairs compared before are not compared again."""
    from datasets_spec.prepare.ray_jobs import compare_pairs

    policy = order.catalog.spec.leakage
    known_pairs = read_known(order.store_dir, flips=policy.flips)
    groups = group_copies(
        survey.images,
        limits=order.limits,
        flips=policy.flips,
        known=known_patients(survey.rows) if policy.group != "warn" else {},
        known_pairs=known_pairs.of,
        on_event=order.tell,
        compare_chunks=compare_pairs,
        find_pairs=partial(known_shortlist, store_dir=order.store_dir),
    )
    hold.require()  # the file has no number, by which a successor's would count
    write_known(order.store_dir, known_pairs.with_pairs(groups.compared))
    return groups


def _plan(order: StoreOrder, survey: Survey, links: Links) -> RowPlan:
    """Decides about all rows, and refuses what loses rows or leaves too many out."""
    names, catalog = order.catalog.names, order.catalog
    plan = make_plan(
        links,
        {name: catalog.shares(name) for name in names},
        seed=order.seed,
        sampling={name: catalog.sampling(name) for name in names},
        policy=catalog.spec.leakage,
    )
    survey.set_aside(plan.removed)
    require_balance(survey, plan)
    for name, tally in sorted(survey.tallies.items()):
        aside = ", ".join(f"{reason.value} {num}" for reason, num in tally.reasons.most_common())
        kept = tally.read - sum(tally.reasons.values())
        order.tell(f"{name}: {kept} of {tally.read} rows kept" + (f" (set aside: {aside})" if aside else ""))
    list_path = order.store_dir / REFUSED_NAME
    try:
        require_within_limit(survey.tallies, order.quarantine_limit, list_path)
    except UserError:
        # In a file of its own: that of the store is about what is stored.
        write_quarantine(survey.aside, list_path)
        raise
    return plan


def _write(order: StoreOrder, plan: RowPlan, secret_path: Place) -> list[dict[str, Any]]:
    """Writes the planned rows and their list."""
    from datasets_spec.prepare.ray_jobs import store_rows

    num_rows = sum(len(rows) for rows in plan.partitions.values())
    order.tell(f"writing {num_rows} rows in {len(plan.partitions)} partitions")
    wrote = order.progress("wrote", "rows", num_rows)
    parts = store_rows(plan, order.staging, order.generation, secret_path=secret_path, on_rows=wrote.add)
    replace_file(order.generation / ROWS_NAME, partial(write_row_list, plan))
    return parts


def _bring_to_disk(order: StoreOrder) -> None:
    """Removes what only the steps between needed; on a disk, waits until entries of folders are there, too."""
    remove_folder(order.staging)
    if isinstance(order.generation, Path):
        sync_folders(order.generation)
        sync(order.generation.parent)
