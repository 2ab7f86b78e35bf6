"""Third step: rows and what is known of their images -> staged rows with answers, options in order and hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datasets_spec.canonical import content_hash
from datasets_spec.images.limits import ImageRefused
from datasets_spec.prepare.box_answers import place_box
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.opening.image_facts import FinishingOrder
from datasets_spec.prepare.option_order import keeps_published_order, option_order
from datasets_spec.prepare.staged_rows import is_to_open, read_block, staged_table, write_staged
from datasets_spec.prepare.surveying.contradictions import comparison_keys
from datasets_spec.sample import OPEN_ANSWER, Flag
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa


def finish_block(order: FinishingOrder, *, sources: Mapping[str, SubsetSource], seed: int, staging: Place) -> int:
    """Finishes the rows of a block and writes them.

    Args:
        order: The block.
        sources: Subsets by name.
        seed: Seed of the store.
        staging: Folder of staged rows.

    Returns:
        How many records it holds.
    """
    known = order.facts.to_pylist()
    table = finish_rows(
        read_block(staging, order.block),
        [known[number] for number in order.images.tolist()],
        [known[number] for number in order.masks.tolist()],
        sources=sources,
        seed=seed,
    )
    write_staged(table, staging, order.block)
    return sum(index >= 0 for index in table.column("index").to_pylist())


def finish_rows(
    table: pa.Table,
    images: Sequence[Mapping[str, Any]],
    masks: Sequence[Mapping[str, Any]],
    *,
    sources: Mapping[str, SubsetSource],
    seed: int,
) -> pa.Table:
    """Gives every row its images, its box, the order of its options and its hashes; or the reason to set it aside.

    Args:
        table: Rows from :func:`read_rows.read_files`.
        images: What is known of their images, one row after the other.
        masks: What is known of their masks.
        sources: Subsets by name.
        seed: Seed of the store.

    Returns:
        A table of :func:`staged_rows.staging_schema`.
    """
    rows = table.to_pylist()
    next_image, next_mask = iter(images), iter(masks)
    for row in rows:
        if is_to_open(row):
            own = [next(next_image) for _ in row["image_paths"]]
            mask = None if row["mask_path"] is None else next(next_mask)
            _finish_row(row, own, mask, sources[row["subset"]], seed)
    return staged_table(rows)


def _finish_row(
    row: dict[str, Any],
    images: Sequence[Mapping[str, Any]],
    mask: Mapping[str, Any] | None,
    source: SubsetSource,
    seed: int,
) -> None:
    for number, image in enumerate(images, start=1):
        if image["reason"] is not None:
            detail = f"image {number} of {len(images)} {image['detail']}".rstrip()
            row.update(reason=image["reason"], detail=detail)
            return
    row["image_bytes_hashes"] = [image["bytes_hash"] for image in images]
    row["image_hashes"] = [image["pixel_hash"] for image in images]
    row["places"] = [[image["pack"], image["offset"], image["length"], image["crc32"]] for image in images]
    try:
        place_box(row, [(image["width"], image["height"]) for image in images], mask, source)
    except ImageRefused as error:
        row.update(reason=error.reason.value, detail=error.detail)
        return
    _order_options(row, seed)
    shared = [row["question"], row["answer"], row["answer_kind"], row["image_hashes"]]
    # How a made question is put, and which options were drawn, makes no other row of the same image and class.
    row["content_hash"] = content_hash(shared[1:] if source.labelled else [*shared, sorted(row["options"])])
    row["row_hash"] = content_hash([*shared, row["options"], row["answer_index"]])
    row.update(comparison_keys(row))


def _order_options(row: dict[str, Any], seed: int) -> None:
    if row["answer_index"] == OPEN_ANSWER:
        return
    options = row["options"]
    if keeps_published_order(options):
        row["flags"] = [*row["flags"], Flag.published_option_order.value]
    order = option_order(seed, row["question"], options, row["image_hashes"])
    row["options"] = [options[index] for index in order]
    row["answer_index"] = order.index(row["answer_index"])
