"""Where a data file or an image lies: a path, or an object of a bucket that answers as a path does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal

from datasets_spec.errors import StorageError
from datasets_spec.storage.local import LocalStorage

if TYPE_CHECKING:
    from datasets_spec.storage.s3 import S3Storage
    from datasets_spec.storage.storage import Storage

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# Names of buckets: AWS, "General purpose bucket naming rules"; other servers take more, but none of these apart.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True, order=True)
class S3Place:
    """An object of a bucket, or what a folder would be.

    Args:
        bucket: The bucket.
        key: Names with slashes between them; "" for the whole bucket.
    """

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, below: str) -> S3Place:
        """Returns a place below this one; a part that climbs is an error."""
        parts = [part for part in below.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise StorageError(f"'{below}' leads out of {self}", hint="write the whole address")
        return S3Place(self.bucket, "/".join(part for part in (self.key, *parts) if part))

    @property
    def name(self) -> str:
        """Its last name."""
        return PurePosixPath(self.key).name or self.bucket

    @property
    def suffix(self) -> str:
        """Ending of its name."""
        return PurePosixPath(self.key).suffix

    @property
    def before(self) -> str:
        """What the keys of objects below it begin with."""
        return f"{self.key}/" if self.key else ""

    @property
    def storage(self) -> S3Storage:
        """The bucket."""
        return s3_storage(self.bucket)

    def absolute(self) -> S3Place:
        """Returns itself: an address has no folder that it starts from."""
        return self

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return bool(self.key) and self.storage.state(self.key) is not None

    def is_dir(self) -> bool:
        """Whether there is an object below it."""
        return next(self.storage.objects(self.before), None) is not None

    def exists(self) -> bool:
        """Whether there is such an object or one below it."""
        return self.is_file() or self.is_dir()

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Opens the object for reading at any position.

        Args:
            mode: There is no other.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The bucket cannot be used; so may every read.
        """
        return self.storage.open(self.key)

    def read_bytes(self) -> bytes:
        """Returns the object's content; raises as :meth:`open` does."""
        return self.storage.read(self.key)

    def read_text(self, encoding: Literal["utf-8"] = "utf-8") -> str:
        """Returns the object's content as text; raises as :meth:`open` does."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the object; one that is not there is never an error."""
        self.storage.remove(self.key)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: a bucket has no folders to make."""


Place = Path | S3Place


@lru_cache(maxsize=64)
def s3_storage(bucket: str) -> S3Storage:
    """Returns a bucket as a storage.

    Args:
        bucket: Its name.

    Raises:
        StorageError: The extra ``s3`` is not installed.
    """
    from datasets_spec.storage.s3 import S3Storage

    return S3Storage(bucket)


def as_place(written: str | Path | S3Place) -> Place:
    """Returns what an address or a path leads to.

    Args:
        written: ``s3://bucket/...``, or a path.

    Raises:
        StorageError: It has another scheme, or is no address of a bucket.
    """
    if not isinstance(written, str):
        return written
    match = _SCHEME.fullmatch(written)
    if match is None:
        return Path(written)
    scheme, rest = match[1].lower(), match[2]
    if scheme != "s3":
        raise StorageError(
            f"'{written}': data are read from folders and from s3://, not from {scheme}://",
            hint="copy them there, or mount them as a folder",
        )
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or "\0" in key:
        raise StorageError(f"'{written}' is no address of a bucket", hint="write s3://BUCKET/KEY")
    return S3Place(bucket) / key


def below(base: Path, written: str) -> Place:
    """Returns the place of a file that a catalog names: an address, or a path that starts from a folder.

    Args:
        base: The folder.
        written: As in the catalog.

    Raises:
        StorageError: See :func:`as_place`.
    """
    return as_place(written) if _SCHEME.fullmatch(written) else base / written


def open_storage(root: str | Path | S3Place) -> Storage:
    """Opens the storage that lies at a place.

    Args:
        root: A folder, or ``s3://bucket/prefix``.

    Raises:
        StorageError: It has another scheme, or the extra ``s3`` is not installed.
    """
    place = as_place(root)
    if isinstance(place, Path):
        return LocalStorage(place)
    from datasets_spec.storage.s3 import S3Storage

    return S3Storage(place.bucket, place.key)
