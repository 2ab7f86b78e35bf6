"""What the subsets of a catalog share with a target, under a task map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.catalog.keys import Key, TaskMap, same_key, shared_elements
from datasets_spec.splits.shares import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """What one subset shares with the target.

    Args:
        name: Name of the subset.
        key: Its key in canonical spelling, with its coarse task.
        shared: Elements it shares with the target; none makes it unrelated.
        same_key: Whether training on it means training on the target's key.
        common_sources: Data sets that both are built from; their images can be the same.
        role: Its role, if it has one.
        has_files: Whether it can be prepared.
    """

    name: str
    key: Key
    shared: tuple[str, ...]
    same_key: bool
    common_sources: tuple[str, ...]
    role: Role | None
    has_files: bool


def relations_of(catalog: Catalog, target: str, task_map: TaskMap | None = None) -> tuple[Relation, ...]:
    """Compares every other subset of a catalog with a target, in the catalog's order.

    Args:
        catalog: The catalog.
        target: Name of a subset; it needs no files.
        task_map: Under which keys are compared; the catalog's by default.

    Raises:
        UserError: There is no such subset.
    """
    table = task_map or catalog.task_map
    wanted = catalog.subset(target)
    return tuple(
        Relation(
            name=subset.name,
            key=table.canonical(subset.key),
            shared=shared_elements(subset.key, wanted.key, table),
            same_key=same_key(subset.key, wanted.key, table),
            common_sources=tuple(source for source in subset.sources if source in wanted.sources),
            role=subset.role,
            has_files=subset.released,
        )
        for subset in catalog.spec.subsets
        if subset.name != target
    )


def num_related(relations: Iterable[Relation]) -> tuple[int, int]:
    """Counts related and unrelated subsets.

    Args:
        relations: The subsets to count.
    """
    related = [bool(relation.shared) for relation in relations]
    return sum(related), len(related) - sum(related)
