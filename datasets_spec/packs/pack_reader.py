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
from datasets_spec.packs.pack_writer import PACKS, Place

# Of a process; systems allow 1,024 and more, and a process has others.
_MAX_OPEN: Final = 64
_REBUILD: Final = "see which: recombine data verify STUDY"


class PackReader:
    """Reads images by pack and place; open files are kept, and closed with this object.

    Args:
        store_dir: The store.
        names: Names of packs; rows name a pack by its number in this list.
    """

    def __init__(self, store_dir: Path, names: Sequence[str]) -> None:
        self._folder = store_dir / PACKS
        self._names = names
        self._open: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def read(self, pack: int, place: Place) -> bytes:
        """Returns the bytes of an image.

        Args:
            pack: Number of its pack.
            place: Where it lies there.

        Raises:
            StoreError: The pack is missing, or the image is not what was written.
        """
        try:
            # Held while reading: another thread might close the file meanwhile, and a system's read frees Python.
            with self._lock:
                data = os.pread(self._descriptor(pack), place.num_bytes, place.offset)
        except FileNotFoundError:
            raise StoreError(f"{PACKS}/{self._names[pack]} is missing", hint=_REBUILD) from None
        except OSError as error:
            kind = error.strerror or type(error).__name__
            raise StoreError(f"{PACKS}/{self._names[pack]} cannot be read ({kind})", hint=_REBUILD) from None
        if zlib.crc32(data) != place.crc32:
            raise StoreError(f"{PACKS}/{self._names[pack]} is damaged at byte {place.offset}", hint=_REBUILD)
        return data

    def _descriptor(self, pack: int) -> int:
        if pack not in self._open:
            if len(self._open) == _MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
            self._open[pack] = os.open(self._folder / self._names[pack], os.O_RDONLY)
        self._open.move_to_end(pack)
        return self._open[pack]
