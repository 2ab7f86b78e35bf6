"""Files of a store that lies on a disk, to be looked at and damaged."""

from __future__ import annotations

from pathlib import Path

from datasets_spec.storage.place import Place
from datasets_spec.store.store import Store


def on_disk(place: Place) -> Path:
    """A place that is known to be a path."""
    assert isinstance(place, Path)
    return place


def part_paths(store: Store, subset: str, split: str) -> list[Path]:
    """The Parquet files of a subset and split, in order."""
    parts = store.manifest.subsets[subset].files.get(split, ())
    return [on_disk(store.directory) / part.path for part in parts]
