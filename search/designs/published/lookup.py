"""The published figure of a row, where its subsets are those of the shipped Med-MAT catalog."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from datasets_spec.catalog.keys import Key
from search.designs.published.recount import ControlledRow, load_controlled_rows


def published_controlled(direction: str, sources: Sequence[Key], target: str) -> dict[str, float]:
    """Accuracies in % of the row of table 3 with this target and these sources; none where it is not there.

    The table names a source by two of its elements, so several subsets can be meant; a pair of sources to which two
    rows could belong gives none.

    Args:
        direction: which element is fixed.
        sources: canonical keys with coarse tasks, in the row's order.
        target: a subset of the shipped catalog.
    """
    found = [row for row in load_controlled_rows() if _is_row(row, direction, sources, target)]
    if len(found) != 1:
        return {}
    return {"baseline": found[0].baseline, "control": found[0].control, "related": found[0].trained}


def published_three_sources(sources: Sequence[str], target: Key) -> dict[str, float]:
    """Accuracies in % of table 10; it has no control.

    Args:
        sources: subsets of the shipped catalog: of modality, area and task.
        target: canonical key with its coarse task.
    """
    numbers = [subset_number(source) for source in sources]
    for row in _tables()["three_sources"]:
        if numbers == row["sources"] and _words(row["target"]) <= _words_of(target):
            return {"baseline": row["baseline"], "related": row["trained"]}
    return {}


def published_arms(table: str, target: str) -> dict[str, float]:
    """Accuracies in % by arm of `disruption` (figure 4) or `observation` (tables 1 and 2) for a target."""
    found: dict[str, float] = _tables()[table].get(subset_number(target), {})
    return dict(found)


def subset_number(name: str) -> str:
    """The number that a subset of the Med-MAT catalog begins with; "" for others."""
    number = name.split("-")[0]
    return number if number.isdigit() else ""


@cache
def _tables() -> dict[str, Any]:
    text = (resources.files("search.designs.published") / "med_mat_tables.yaml").read_text(encoding="utf-8")
    tables: dict[str, Any] = yaml.safe_load(text)
    return tables


def _is_row(row: ControlledRow, direction: str, sources: Sequence[Key], target: str) -> bool:
    if row.direction != direction or not row.target_subset or subset_number(target) != row.target_subset:
        return False
    return all(_words(name) <= _words_of(key) for name, key in zip(row.sources, sources, strict=True))


def _words_of(key: Key) -> set[str]:
    # "Diseases" and "Recognition" are what the tables call multiple classification.
    also = "Diseases Recognition" if key.task == "Multiple Classification" else ""
    return _words(f"{key.modality} {key.area} {key.task} {also}")


def _words(name: str) -> set[str]:
    plain = name.lower().replace("x-ray", "xray")
    for sign in "()-/":
        plain = plain.replace(sign, " ")
    return set(plain.split())
