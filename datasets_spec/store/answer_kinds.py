"""Which kinds of answers the questions of a store have."""

from __future__ import annotations

from datasets_spec.store.store import Store


def has_words(store: Store, subset: str, split: str) -> bool:
    """Returns whether any question of a subset and split is answered in words, not by a letter or a box.

    Args:
        store: The store.
        subset: Name of the subset.
        split: One of ``SPLITS``.

    Raises:
        StoreError: There is no such subset or split, or data are damaged.
    """
    import pyarrow.compute as pc

    kinds = store.read_groups(subset, split, columns=["answer_kind"])
    return any(pc.any(pc.equal(table["answer_kind"], "open")).as_py() for table in kinds)
