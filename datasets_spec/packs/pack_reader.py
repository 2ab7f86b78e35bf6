"""Reads images out of packs, each compared with its checksum."""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datasets_spec.errors import StoreError
from datasets_spec.packs.neighbours import runs_of
from datasets_spec.packs.pack_writer import PACKS, Extent
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.storage.read_many import Range, read_many

# Of a process; systems allow 1,024 and more, and a process has others.
_MAX_OPEN: Final = 64
_REBUILD: Final = "see which: recombine data verify STUDY"


class PackReader:
    """Reads images by pack and place; open files are kept, and closed with this object.

    Args:
        store_dir: The store.
        names: Names of packs; rows name a pack by its number in this list.
    """

    def __init__(self, store_dir: Place, names: Sequence[str]) -> None:
        self._folder = store_dir / PACKS
        self._names = names
        self._open: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def read(self, wanted: Sequence[tuple[int, Extent]]) -> list[bytes]:
        """Returns the bytes of images.

        Args:
            wanted: Of every image, number of its pack and where it lies there.

        Raises:
            StoreError: A pack is missing, or an image is not what was written.
            StorageError: The store's bucket cannot be used.
        """
        if isinstance(self._folder, S3Place):
            return self._fetched(self._folder, wanted)
        return [self._checked(pack, extent, self._read(self._folder, pack, extent)) for pack, extent in wanted]

    def _read(self, folder: Path, pack: int, extent: Extent) -> bytes:
        try:
            # Held while reading: another thread might close the file meanwhile, and a system's read frees Python.
            with self._lock:
                return os.pread(self._descriptor(folder, pack), extent.num_bytes, extent.offset)
        except FileNotFoundError:
            raise self._missing(pack) from None
        except OSError as error:
            kind = error.strerror or type(error).__name__
            raise StoreError(f"{PACKS}/{self._names[pack]} cannot be read ({kind})", hint=_REBUILD) from None

    def _fetched(self, folder: S3Place, wanted: Sequence[tuple[int, Extent]]) -> list[bytes]:
        runs = list(runs_of(wanted))
        ranges = (Range(folder / self._names[run.pack], run.start, run.stop - run.start) for run in runs)
        images = [b""] * len(wanted)
        for run, data in zip(runs, read_many(ranges), strict=True):
            if data is None:
                raise self._missing(run.pack)
            for number in run.members:
                extent = wanted[number][1]
                start = extent.offset - run.start
                images[number] = self._checked(run.pack, extent, data[start : start + extent.num_bytes])
        return images

    def _checked(self, pack: int, extent: Extent, data: bytes) -> bytes:
        if zlib.crc32(data) != extent.crc32:
            raise StoreError(f"{PACKS}/{self._names[pack]} is damaged at byte {extent.offset}", hint=_REBUILD)
        return data

    def _missing(self, pack: int) -> StoreError:
        return StoreError(f"{PACKS}/{self._names[pack]} is missing", hint=_REBUILD)

    def _descriptor(self, folder: Path, pack: int) -> int:
        if pack not in self._open:
            if len(self._open) == _MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
            self._open[pack] = os.open(folder / self._names[pack], os.O_RDONLY)
        self._open.move_to_end(pack)
        return self._open[pack]
