"""Questions that a process has prepared once, kept for the trials after: each of them answers the same ones."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.rows.encoded_samples import EncodedSample

# Of the machine's memory, for one process: eight slots on a node take two fifths at most.
KEPT_SHARE = 0.05


class PreparedQuestions:
    """Prepared samples by their place in a partition, until so many bytes are kept; any thread may ask.

    Args:
        most_bytes: of all tensors.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, int], EncodedSample] = {}
        self._encoder: object = None
        self.num_bytes = 0

    def find(self, encoder: object, place: tuple[str, str, int]) -> EncodedSample | None:
        """Return a sample that was prepared by this encoder."""
        with self._lock:
            return self._kept.get(place) if encoder is self._encoder else None

    def keep(self, encoder: object, place: tuple[str, str, int], sample: EncodedSample) -> None:
        """Keep a sample if there is room; those of another encoder go."""
        tensors = [sample.prompt_ids, sample.answer_ids, *sample.aligned.values(), *sample.image_tensors.values()]
        num_bytes = sum(tensor.nbytes for tensor in tensors)
        with self._lock:
            if encoder is not self._encoder:
                self._encoder, self._kept, self.num_bytes = encoder, {}, 0
            if place not in self._kept and self.num_bytes + num_bytes <= self._most_bytes:
                self._kept[place] = sample
                self.num_bytes += num_bytes


def memory_for_questions() -> int:
    """Return how many bytes of prepared questions this process may keep."""
    return int(KEPT_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
