"""The manifest of a freshly written store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets_spec.canonical import content_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.groups import CopySearch
from datasets_spec.packs.pack_writer import PackFile
from datasets_spec.prepare.survey import Survey
from datasets_spec.prepare.surveying.contradictions import find_contradictions
from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.hashes import Hashes, hex_texts
from datasets_spec.splits.links import Links
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.splits.row_table import Numbers, RowTable
from datasets_spec.store.manifest import STORE_VERSION, Contradiction, PartFile, StoreManifest, SubsetCounts

# Above this, labels are answers in the asker's own words rather than classes, and stay out of the manifest.
MAX_LABELS_LISTED = 64
_NO_ROWS = np.empty(0, np.int64)


def build_manifest(
    catalog: Catalog,
    plan: RowPlan,
    survey: Survey,
    links: Links,
    parts: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    search: CopySearch,
    inputs_fingerprint: str,
    generation: str,
    packs: Sequence[PackFile],
) -> StoreManifest:
    """Counts what was written.

    Args:
        catalog: What was prepared.
        plan: What was decided.
        survey: What was found.
        links: What ties its rows.
        parts: What was written, sorted by path.
        seed: Seed of the store.
        search: How the search for copies went.
        inputs_fingerprint: Hash of what it was made from.
        generation: Folder of this build, relative to the store.
        packs: Packs that hold the images.
    """
    contradictions = find_contradictions(links)
    subsets = {
        name: _counts(catalog, name, plan, survey, links, parts, generation, contradictions.get(name))
        for name in sorted(catalog.names)
    }
    content = {
        name: {"key": counts.key.model_dump(mode="json"), "splits": counts.partition_fingerprints}
        for name, counts in subsets.items()
    }
    return StoreManifest(
        version=STORE_VERSION,
        catalog_name=catalog.spec.name,
        task_map=catalog.task_map.name,
        seed=seed,
        fingerprint=content_hash({"version": STORE_VERSION, "subsets": content}),
        inputs_fingerprint=inputs_fingerprint,
        generation=generation,
        subsets=subsets,
        leaks=plan.leaks,
        copy_search=search,
        packs=tuple(packs),
    )


def _counts(
    catalog: Catalog,
    name: str,
    plan: RowPlan,
    survey: Survey,
    links: Links,
    parts: Sequence[Mapping[str, Any]],
    generation: str,
    contradictions: tuple[int, Contradiction] | None,
) -> SubsetCounts:
    by_split = {split: plan.partitions.get((name, split)) for split in SPLITS}
    kept = {split: rows.positions if rows else _NO_ROWS for split, rows in by_split.items()}
    table, rows = links.table, np.concatenate(list(kept.values()))
    num_grouped = int(np.count_nonzero(np.diff(table.groups.starts)[rows]))
    tally = survey.tallies[name]
    return SubsetCounts(
        key=catalog.subset(name).key,
        read=tally.read,
        kept=len(rows),
        quarantined=tally.faults,
        duplicates=tally.reasons[QuarantineReason.duplicate_row],
        leaked=tally.reasons[QuarantineReason.leaked_row],
        not_selected=tally.reasons[QuarantineReason.not_selected],
        not_sampled=tally.reasons[QuarantineReason.not_sampled],
        flags=flag_counts(table, rows),
        splits={split: len(positions) for split, positions in kept.items()},
        labels=label_counts(table, kept),
        partition_fingerprints={
            split: partition_fingerprint(table.row_hash[positions]) for split, positions in kept.items()
        },
        groups_known=0 < num_grouped == len(rows),
        num_grouped=num_grouped,
        contradicting=contradictions[0] if contradictions else 0,
        contradiction=contradictions[1] if contradictions else None,
        files={split: _files(parts, name, split, generation) for split in SPLITS},
    )


def partition_fingerprint(row_hashes: Hashes) -> str:
    """Returns the hash of a partition's rows in their order: that of the list of their hashes' texts as JSON.

    Args:
        row_hashes: The hash of every row.
    """
    found, start = hashlib.sha256(b"["), b'"'
    for texts in hex_texts(row_hashes):
        found.update(start + b'","'.join(texts) + b'"')
        start = b',"'
    found.update(b"]")
    return found.hexdigest()


def flag_counts(table: RowTable, rows: Numbers) -> dict[str, int]:
    """Counts flags.

    Args:
        table: All rows.
        rows: Positions of those that count.
    """
    counts: Counter[str] = Counter()
    for flags, num in zip(table.flag_sets, np.bincount(table.flags[rows]).tolist(), strict=False):
        for flag in flags if num else ():
            counts[flag] += num
    return dict(sorted(counts.items()))


def label_counts(table: RowTable, kept: Mapping[str, Numbers]) -> dict[str, dict[str, int]] | None:
    """Counts labels by split; None where there are more than anybody reads.

    Args:
        table: All rows.
        kept: Positions of those that count, by split.
    """
    counts = {}
    for split, positions in kept.items():
        nums = np.bincount(table.label[positions], minlength=len(table.labels)).tolist()
        counts[split] = {label: num for label, num in zip(table.labels, nums, strict=True) if num}
    if len(set().union(*counts.values())) > MAX_LABELS_LISTED:
        return None
    return {split: dict(sorted(numbers.items())) for split, numbers in counts.items()}


def _files(parts: Sequence[Mapping[str, Any]], name: str, split: str, generation: str) -> tuple[PartFile, ...]:
    return tuple(
        PartFile(
            path=f"{generation}/{part['path']}",
            num_rows=part["num_rows"],
            num_bytes=part["num_bytes"],
            sha256=part["sha256"],
        )
        for part in parts
        if part["subset"] == name and part["split"] == split
    )
