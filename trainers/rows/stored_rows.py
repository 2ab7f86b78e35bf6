"""A study's rows, read out of its store by whoever trains on them or answers them.

Rows are text and places: a partition of thousands is read in milliseconds. Images lie in the store's packs once each,
whatever rows show them, and are read when a sample is prepared, through the system's cache that all processes of a node
share. So nothing is copied before a study begins, and nothing has to fit anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets_spec.store.store import Store
from trainers.rows.prepared_questions import PreparedQuestions, memory_for_questions

Place = tuple[str, str]  # subset, split
# What a model needs of a row; groups and labels stay in the store.
COLUMNS = (
    "sample_id",
    "subset",
    "split",
    "order",
    "question",
    "options",
    "answer",
    "answer_index",
    "answer_kind",
    "images",
    "row_hash",
)


def _no_questions() -> PreparedQuestions:
    return PreparedQuestions(memory_for_questions(os.cpu_count() or 1))  # slots know better, and say so


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """Rows of a study by (subset, split), each in the order of its partition.

    Attributes:
        store: an open store; whoever opened it keeps its generation.
        questions: that this process has prepared.
    """

    store: Store
    # Of this process:
    _asked: dict[Place, Any] = field(default_factory=dict, compare=False, repr=False)
    questions: PreparedQuestions = field(default_factory=_no_questions, compare=False, repr=False)

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        """Return the first `num_rows` rows (all when None) as an Arrow table of `COLUMNS`.

        Where packs hold the images, it has the column `places` instead of theirs. Such questions are kept, for every
        trial answers them all.

        Raises:
            StoreError: there is no such partition, it is shorter than asked for, or damaged.
        """
        if split == "train":
            return self._read(subset, split, num_rows)
        kept = self._asked.get((subset, split))
        if kept is None:
            kept = self._read(subset, split, None)
            if "places" not in kept.column_names:  # images in the rows are too large to be kept in every process
                return kept.slice(0, num_rows)
            self._asked[(subset, split)] = kept
        return kept.slice(0, num_rows)

    def composition(self, composition: Mapping[str, int]) -> Any:
        """Return the training rows of a composition: subsets by name, each the first rows of its own order."""
        import pyarrow as pa

        parts = [self.read(subset, "train", count) for subset, count in sorted(composition.items()) if count]
        return pa.concat_tables(parts) if parts else pa.table({})

    def with_images(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the bytes of its images.

        Raises:
            StoreError: an image is missing or damaged.
        """
        return row if "images" in row else {**row, "images": self.store.images_at(row["places"])}

    def _read(self, subset: str, split: str, num_rows: int | None) -> Any:
        return self.store.read(subset, split, num_rows=num_rows, columns=COLUMNS, with_images=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_asked", "questions")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_asked": {}, "questions": _no_questions()})
