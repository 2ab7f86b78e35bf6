"""Writes packs: files of images behind each other, announced when they are whole and on the disk."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from pathlib import Path
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from datasets_spec.atomic import sync

PACKS: Final = "packs"
PACK_SUFFIX: Final = ".pack"
INDEX_SUFFIX: Final = ".arrow"
# A file of this name has no end yet, and never gets one where its process was killed.
UNFINISHED: Final = ".unfinished-"


class Place(NamedTuple):
    """Where an image lies in a pack.

    Args:
        offset: Its first byte.
        num_bytes: Its length.
        crc32: Checksum of its bytes (ISO 3309, as zlib computes it).
    """

    offset: int
    num_bytes: int
    crc32: int


class PackFile(BaseModel):
    """A pack that is whole.

    Args:
        name: Its file in the folder of packs.
        num_bytes: Size of the file.
        sha256: Hash of its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    num_bytes: int
    sha256: str


class PackWriter:
    """Appends images to a new pack; equal ones are written once.

    Args:
        folder: Folder of packs.
    """

    def __init__(self, folder: Path) -> None:
        self.stem = uuid.uuid4().hex[:16]
        self._folder = folder
        self._unfinished = folder / f"{UNFINISHED}{self.stem}"
        self._file = self._unfinished.open("xb")
        self._digest = hashlib.sha256()
        self._places: dict[str, Place] = {}
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def append(self, name: str, data: bytes) -> Place:
        """Writes an image, or finds it where it was written before.

        Args:
            name: Hash of what it shows.
            data: The file that is stored.

        Returns:
            Where it lies.
        """
        if name not in self._places:
            self._file.write(data)
            self._digest.update(data)
            self._places[name] = Place(self._num_bytes, len(data), zlib.crc32(data))
            self._num_bytes += len(data)
        return self._places[name]

    def finish(self) -> PackFile | None:
        """Brings the pack to the disk and gives it its name.

        Returns:
            The pack; None where nothing was appended, and there is no file.
        """
        self._file.close()
        if not self._places:
            return None
        sync(self._unfinished)
        name = self.stem + PACK_SUFFIX
        self._unfinished.rename(self._folder / name)
        sync(self._folder)
        return PackFile(name=name, num_bytes=self._num_bytes, sha256=self._digest.hexdigest())
