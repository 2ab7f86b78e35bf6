"""Which rows of the prepared data a study will read, in words."""

from __future__ import annotations

from datasets_spec.store.manifest import read_manifest
from search.planning.facts import PlanFacts
from search.study.needed_rows import needed_rows, stored_bytes
from search.study.study import Study


def rows_line(study: Study, facts: PlanFacts) -> str:
    """Say how many rows trials may read before `sealed`, and what they take.

    Args:
        study: the study; its data are prepared.
        facts: what is known of it.
    """

    def count(name: str, split: str) -> int:
        return facts.counts.get(name, {}).get(split, 0)

    needed = needed_rows(study.spec, count, facts.design_arms)
    manifest = read_manifest(study.store_dir)
    size = stored_bytes(manifest, needed) / 2**20 if manifest is not None else 0.0
    prepared = sum(sum(splits.values()) for splits in facts.counts.values())
    amount = f"{size:.0f} MiB" if size < 1024 else f"{size / 1024:.1f} GiB"
    return (
        f"rows that trials may read: {sum(needed.values()):,} of {prepared:,}, about {amount} with their images, which "
        "are read where they lie"
    )
