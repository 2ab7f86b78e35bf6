"""Images opened by a process of their own, whose memory is limited: what ends it ends nothing else."""

from __future__ import annotations

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final, Protocol, Self

from datasets_spec.images.file_state import FileState
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.prepare.opening.open_image import OpenedImage, refused_image
from datasets_spec.sample import QuarantineReason
from datasets_spec.storage.place import Place

_MIB: Final = 1024 * 1024
# What decoding, turning, windowing and hashing hold at their worst, a pixel; then the file twice, and what libraries
# ask for.
_BYTES_PER_PIXEL: Final = 24
_BESIDE_MIB: Final = 256
# An innocent one may be ended too, where the machine runs out of memory.
_NUM_TRIES: Final = 2
ENDED: Final = "ended the process that opened it"


def limit_mib(limits: ImageLimits) -> int:
    """Returns the memory that one image may take, in MiB.

    Args:
        limits: What an image may cost.
    """
    return int((limits.max_mpx * 1e6 * _BYTES_PER_PIXEL + 2 * limits.max_bytes) / _MIB) + _BESIDE_MIB


class OpenOne(Protocol):
    """Opens an image or a mask."""

    def __call__(self, path: Place, state: FileState, limits: ImageLimits) -> OpenedImage:
        """Opens the file at a resolved place; what it may cost is limited."""
        ...


class LimitedProcess:
    """Opens images one after the other in a process with a memory limit, started again when one ends it.

    Args:
        limits: What an image may cost.
    """

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, open_one: OpenOne, path: Place, state: FileState) -> OpenedImage:
        """Opens an image there; one that ends the process is refused.

        Args:
            open_one: :func:`open_image.open_image` or :func:`open_image.open_mask`.
            path: A resolved place.
            state: Size and time of the file.
        """
        for _ in range(_NUM_TRIES):
            try:
                return self._running().submit(open_one, path, state, self._limits).result()
            except BrokenProcessPool:
                self._stop()
        detail = f"{ENDED}, which may take {limit_mib(self._limits)} MiB"
        return refused_image(ImageRefused(QuarantineReason.image_not_opened, detail), state)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not forked: the caller has threads, Ray's at least.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _limit_memory, (limit_mib(self._limits),))
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _limit_memory(num_mib: int) -> None:
    # Loaded first, so that the limit is about the image: libraries reserve much that they never touch.
    import numpy  # noqa: F401
    from PIL import Image

    Image.init()
    statm = Path("/proc/self/statm")
    if statm.is_file():  # elsewhere than on Linux the process alone must do
        reserved = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        most = reserved + num_mib * _MIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
