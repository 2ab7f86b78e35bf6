"""Writes packs: files of images behind each other, announced when they are whole and on the disk."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from datasets_spec.storage.new_file import new_file
from datasets_spec.storage.place import Place

PACKS: Final = "packs"
PACK_SUFFIX: Final = ".pack"
INDEX_SUFFIX: Final = ".arrow"


class Extent(NamedTuple):
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

    def __init__(self, folder: Place) -> None:
        self.stem = uuid.uuid4().hex[:16]
        self._file = new_file(folder / (self.stem + PACK_SUFFIX))
        self._digest = hashlib.sha256()
        self._extents: dict[str, Extent] = {}
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.abandon()

    def append(self, name: str, data: bytes) -> Extent:
        """Writes an image, or finds it where it was written before.

        Args:
            name: Hash of what it shows.
            data: The file that is stored.

        Returns:
            Where it lies.
        """
        if name not in self._extents:
            self._file.write(data)
            self._digest.update(data)
            self._extents[name] = Extent(self._num_bytes, len(data), zlib.crc32(data))
            self._num_bytes += len(data)
        return self._extents[name]

    def finish(self) -> PackFile | None:
        """Gives the pack its name, when it is on the disk or in the bucket.

        Returns:
            The pack; None where nothing was appended, and there is no file.
        """
        if not self._extents:
            self._file.abandon()
            return None
        self._file.publish()
        return PackFile(name=self.stem + PACK_SUFFIX, num_bytes=self._num_bytes, sha256=self._digest.hexdigest())
