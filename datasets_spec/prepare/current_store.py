"""Whether a store still is what its inputs lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from importlib.util import find_spec
from typing import TYPE_CHECKING

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import StoreError
from datasets_spec.images.dicom import MISSING_READER
from datasets_spec.images.file_state import ABSENT
from datasets_spec.prepare.inputs import IMAGES_NAME, subset_sources
from datasets_spec.prepare.opening.limited_process import ENDED
from datasets_spec.prepare.quarantine import Tally
from datasets_spec.readers.image_files import completed
from datasets_spec.sample import QuarantineReason
from datasets_spec.storage.files import whole
from datasets_spec.storage.place import Place, as_place
from datasets_spec.store.damages import find_damages
from datasets_spec.store.image_states import images_unchanged
from datasets_spec.store.manifest import StoreManifest, read_manifest
from datasets_spec.store.store import QUARANTINE_NAME

if TYPE_CHECKING:
    import pyarrow as pa


def readable_manifest(store_dir: Place) -> StoreManifest | None:
    """Returns a store's manifest; None where there is none that can be read.

    Args:
        store_dir: The store.
    """
    try:
        return read_manifest(store_dir)
    except StoreError:
        # A damaged store is rebuilt: it holds nothing that its inputs do not.
        return None


def is_current(
    manifest: StoreManifest,
    catalog: Catalog,
    store_dir: Place,
    *,
    fingerprint: str,
    check_hashes: bool,
    retry_images: bool,
    tell: Callable[[str], None],
) -> bool:
    """Says whether a store was made of these inputs, is whole, and would not be made otherwise now.

    Args:
        manifest: Its manifest.
        catalog: What it should hold.
        store_dir: The store.
        fingerprint: Hash of the inputs as they are now.
        check_hashes: Whether files are compared with their hashes, not by size alone.
        retry_images: Whether a store is written again where images could not be opened for the time being.
        tell: Told what is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if manifest.inputs_fingerprint != fingerprint:
        if manifest.packs is None:
            tell("the store was written by an earlier version: it is written again, with its images in packs")
        return False
    damages = find_damages(store_dir, manifest, check_hashes=check_hashes)
    if damages:
        tell(f"{len(damages)} files of the store are damaged, the first {damages[0]}: all are written again")
        return False
    try:
        with whole(store_dir / manifest.generation / IMAGES_NAME) as source:
            states = pq.read_table(source, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        tell(f"{IMAGES_NAME} of the store is damaged: all files are written again")
        return False
    sources = subset_sources(catalog)
    roots = {name: source.image_root for name, source in sources.items()}
    labelled = {as_place(source.image_root) for source in sources.values() if source.labelled is not None}
    if not images_unchanged(states, roots) or _found_with_an_ending(states, roots, labelled):
        return False
    lacked_reader = _were_set_aside(manifest, store_dir, QuarantineReason.image_format, MISSING_READER)
    if lacked_reader and find_spec("pydicom") is not None:
        tell("images were set aside for want of a reader that is there now: all files are written again")
        return False
    if retry_images and _were_not_opened(manifest, store_dir):
        tell("images were set aside that ended their process or ran out of memory: they are opened again")
        return False
    return True


def _found_with_an_ending(states: pa.Table, roots: Mapping[str, str], labelled: Set[Place]) -> bool:
    """Whether an image that a table of labels names without its ending, and that was not there, is there now."""
    import pyarrow.compute as pc

    absent = states.filter(pc.equal(states.column("num_bytes"), ABSENT.num_bytes))
    names = zip(absent.column("subset").to_pylist(), absent.column("path").to_pylist(), strict=True)
    places = ((as_place(roots[subset]), published) for subset, published in names)
    return any(root in labelled and completed(root, published) != published for root, published in places)


def _were_not_opened(manifest: StoreManifest, store_dir: Place) -> bool:
    """Whether images were set aside for what may pass; an earlier version called those that ended a process large."""
    is_told = any(counts.quarantined.get(QuarantineReason.image_not_opened) for counts in manifest.subsets.values())
    return is_told or _were_set_aside(manifest, store_dir, QuarantineReason.image_too_large, ENDED)


def _were_set_aside(manifest: StoreManifest, store_dir: Place, reason: QuarantineReason, detail: str) -> bool:
    """Whether rows were set aside for a reason, with these words in the detail."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not any(counts.quarantined.get(reason) for counts in manifest.subsets.values()):
        return False
    try:
        with whole(store_dir / QUARANTINE_NAME) as source:
            details = pq.read_table(source, columns=["detail"]).column("detail")
    except (OSError, pa.ArrowException):
        return False
    return bool(pc.any(pc.match_substring(details, detail)).as_py())


def tally_of(manifest: StoreManifest, name: str) -> Tally:
    """Returns what a manifest says of the rows of a subset.

    Args:
        manifest: The manifest.
        name: The subset.
    """
    counts = manifest.subsets[name]
    tally = Tally(read=counts.read)
    tally.reasons[QuarantineReason.not_selected] = counts.not_selected
    tally.reasons[QuarantineReason.not_sampled] = counts.not_sampled
    tally.reasons.update({QuarantineReason(reason): num for reason, num in counts.quarantined.items()})
    return tally
