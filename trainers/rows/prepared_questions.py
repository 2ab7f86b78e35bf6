"""Questions that a process has prepared once, kept for the trials after: each of them answers the same ones."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.rows.encoded_samples import EncodedSample

# Of the node's memory: what one process takes, and what all of a node take together, at most.
PROCESS_SHARE, NODE_SHARE = 0.05, 0.4
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class PreparedQuestions:
    """Prepared samples by their place in a partition, until so many bytes are kept; any thread may ask.

    Args:
        most_bytes: of all tensors; may be changed later.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
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
            if place not in self._kept and self.num_bytes + num_bytes <= self.most_bytes:
                self._kept[place] = sample
                self.num_bytes += num_bytes


def memory_for_questions(num_processes: int) -> int:
    """Return how many bytes of prepared questions a process may keep.

    Args:
        num_processes: on this node that keep them.
    """
    return int(min(PROCESS_SHARE, NODE_SHARE / num_processes) * _node_bytes())


def _node_bytes() -> int:
    """The machine's memory, or the container's where that is less."""
    num_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return num_bytes
    return min(num_bytes, int(limit)) if limit.isdigit() else num_bytes
