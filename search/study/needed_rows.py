"""Which rows trials of a study may read: what is never read is never loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from datasets_spec.store.manifest import StoreManifest
from search.study.spec import StudySpec


def needed_rows(
    spec: StudySpec, count: Callable[[str, str], int], arms: Iterable[Mapping[str, int]] = ()
) -> dict[tuple[str, str], int]:
    """Return how many first rows of each (subset, split) trials may read before `sealed` is opened.

    Rows have one order, so that a smaller number is a prefix of a larger one: of a subset that may be trained on, the
    most that any trial could take of it is enough.

    Args:
        spec: the study.
        count: rows of a subset and split.
        arms: the compositions of its design, where it has one: it trains on nothing else.
    """
    wanted = most_of(arms) if spec.design is not None else _of_search(spec, count)
    needed = {(name, "train"): min(number, count(name, "train")) for name, number in sorted(wanted.items())}
    for split in ("search", "confirm"):
        needed |= {(name, split): count(name, split) for name in spec.sets_on(split)}
    return needed


def most_of(compositions: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the largest number of samples of each subset."""
    most: dict[str, int] = {}
    for composition in compositions:
        for subset, number in composition.items():
            most[subset] = max(number, most.get(subset, 0))
    return most


def _of_search(spec: StudySpec, count: Callable[[str, str], int]) -> dict[str, int]:
    space = spec.space.composition
    # A single source may take all that a composition, a control or a row of the matrix may have.
    most = max(space.budget, *space.steps, spec.single_num_samples)
    wanted = dict.fromkeys({*space.available, *spec.control_sources}, most)
    for target, shots in spec.declared_shots.items():
        wanted[target] = max(shots, wanted.get(target, 0))
    if "target-labels" in spec.confirm.comparators:
        for target in spec.objective_sets:
            wanted[target] = max(count(target, "search"), wanted.get(target, 0))
    return wanted


def stored_bytes(manifest: StoreManifest, needed: Mapping[tuple[str, str], int]) -> int:
    """Return about how many bytes the first rows of partitions take with their images, from the sizes of files.

    Args:
        manifest: of the store.
        needed: rows of each (subset, split).
    """
    total = 0.0
    for (subset, split), number in needed.items():
        parts = manifest.subsets[subset].files.get(split, ()) if subset in manifest.subsets else ()
        rows = sum(part.num_rows for part in parts)
        total += sum(part.num_bytes for part in parts) * number / rows if rows else 0
    return round(total + image_bytes(manifest, sum(needed.values())))


def image_bytes(manifest: StoreManifest, num_rows: int) -> float:
    """Return about how many bytes so many rows' images take, which lie in packs once each."""
    kept = sum(counts.kept for counts in manifest.subsets.values())
    return sum(pack.num_bytes for pack in manifest.packs or ()) * num_rows / kept if kept else 0.0
