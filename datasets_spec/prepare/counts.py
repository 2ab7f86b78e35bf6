"""The manifest of a freshly written store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.canonical import content_hash
from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.groups import CopySearch
from datasets_spec.packs.pack_writer import PackFile
from datasets_spec.prepare.contradictions import find_contradictions
from datasets_spec.prepare.survey import Survey
from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.row_plan import Row, RowPlan
from datasets_spec.store.manifest import STORE_VERSION, Contradiction, PartFile, StoreManifest, SubsetCounts

# Above this, labels are answers in the asker's own words rather than classes, and stay out of the manifest.
MAX_LABELS_LISTED = 64


def build_manifest(
    catalog: Catalog,
    plan: RowPlan,
    survey: Survey,
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
        parts: What was written, sorted by path.
        seed: Seed of the store.
        search: How the search for copies went.
        inputs_fingerprint: Hash of what it was made from.
        generation: Folder of this build, relative to the store.
        packs: Packs that hold the images.
    """
    contradictions = find_contradictions(survey.rows)
    subsets = {
        name: _counts(catalog, name, plan, survey, parts, generation, contradictions.get(name))
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
    parts: Sequence[Mapping[str, Any]],
    generation: str,
    contradictions: tuple[int, Contradiction] | None,
) -> SubsetCounts:
    by_split = {split: plan.partitions.get((name, split), []) for split in SPLITS}
    rows = [row for rows in by_split.values() for row in rows]
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
        flags=dict(sorted(Counter(flag for row in rows for flag in row.flags).items())),
        splits={split: len(rows) for split, rows in by_split.items()},
        labels=_labels(by_split),
        partition_fingerprints={
            split: content_hash([row.row_hash for row in rows]) for split, rows in by_split.items()
        },
        groups_known=bool(rows) and all(row.has_group for row in rows),
        num_grouped=sum(row.has_group for row in rows),
        contradicting=contradictions[0] if contradictions else 0,
        contradiction=contradictions[1] if contradictions else None,
        files={split: _files(parts, name, split, generation) for split in SPLITS},
    )


def _labels(by_split: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]] | None:
    counts = {split: Counter(row.label for row in rows) for split, rows in by_split.items()}
    if len(set().union(*counts.values())) > MAX_LABELS_LISTED:
        return None
    return {split: dict(sorted(counter.items())) for split, counter in counts.items()}


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
