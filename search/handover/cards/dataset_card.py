"""The card of a selection as a data set: head for the Hugging Face hub, what is in it, from where, on which terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from datasets_spec.catalog.catalog import NOT_STATED
from search.handover.cards.licences import Terms
from search.handover.selection import Selection
from search.report.plain_tables import markdown_table

# The hub's classes of size (docs/hub/datasets-cards).
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(selection: Selection, terms: Terms, num_rows: int, *, has_parquet: bool) -> str:
    """The head and the sections on sources and terms, as Markdown.

    Args:
        selection: what was selected.
        terms: of its sources.
        num_rows: in the folder.
        has_parquet: whether the folder is one that the library `datasets` loads.
    """
    facts = selection.study.facts
    head: dict[str, Any] = {
        "pretty_name": f"Selection of {facts.spec.name}",
        "license": "other",
        "license_name": "terms-of-each-source",
        "task_categories": ["visual-question-answering"],
        "tags": ["medical", "recombine"],
        "size_categories": [next((name for most, name in _SIZES if num_rows < most), "n>1M")],
        "source_datasets": [entry.subset for entry in selection.mix.subsets],
    }
    if has_parquet:
        head["configs"] = [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
        ]
    rows = []
    for entry in selection.mix.subsets:
        subset = facts.subsets[entry.subset]
        key, licence = str(subset.key), subset.licence or NOT_STATED
        rows.append([entry.subset, key, str(entry.rows), licence, subset.origin or "not stated"])
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        "## Sources",
        "",
        markdown_table(["subset", "modality/area/task", "rows", "licence", "origin"], rows).rstrip(),
        "",
        "Images are upright and carry no metadata; text that is burnt into pixels is not looked for.",
        "",
        "## Terms",
        "",
        "Each row stays under the terms of its source. Licences are compared by their names only.",
        "",
        *_bullets(terms.conflicts or ["No conflict shows in the licences' names."]),
    ]
    return "\n".join(lines) + "\n"


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]
