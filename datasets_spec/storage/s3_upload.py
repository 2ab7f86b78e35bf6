"""Writing an object of any size: it is sent in parts, and seen when it is published."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

from datasets_spec.errors import StorageError
from datasets_spec.storage.s3_bucket import Bucket

# S3 takes parts of 5 MiB to 5 GiB, ten thousand at most: with these, objects of 160 GiB.
_PART_BYTES: Final = 16 << 20


class Upload(io.RawIOBase):
    """An object that is being written.

    s3fs's own file publishes what there is when a block ends by an exception; this one does when it is told to.

    Args:
        bucket: The bucket.
        key: The object.
        metadata: What it is marked with.
    """

    def __init__(self, bucket: Bucket, key: str, *, metadata: Mapping[str, str]) -> None:
        self._bucket, self._key, self._metadata = bucket, key, dict(metadata)
        self._held = bytearray()
        self._parts: list[dict[str, Any]] = []
        self._upload_id: str | None = None
        self._num_bytes = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Returns how many bytes were written."""
        return self._num_bytes

    def write(self, data: Any) -> int:
        """Takes all of the bytes.

        Args:
            data: The bytes.
        """
        view = memoryview(data).cast("B")
        self._held += view
        self._num_bytes += len(view)
        while len(self._held) >= _PART_BYTES:
            self._send(bytes(self._held[:_PART_BYTES]))
            del self._held[:_PART_BYTES]
        return len(view)

    def publish(self) -> None:
        """Makes the object, which must be new.

        Raises:
            FileExistsError: It is not.
        """
        if self._upload_id is None:
            put = {"Body": bytes(self._held), "Metadata": self._metadata, "IfNoneMatch": "*"}
            self._bucket.call("put_object", "write", self._key, **put)
            return
        if self._held:
            self._send(bytes(self._held))
            self._held.clear()
        self._bucket.call(
            "complete_multipart_upload",
            "write",
            self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
            IfNoneMatch="*",
        )

    def abandon(self) -> None:
        """Removes the parts; what fails here stays for :meth:`Storage.sweep`."""
        if self._upload_id is not None:
            try:
                self._bucket.call("abort_multipart_upload", "remove", self._key, UploadId=self._upload_id)
            except (StorageError, FileNotFoundError):
                return

    def _send(self, data: bytes) -> None:
        if self._upload_id is None:
            begun = self._bucket.call("create_multipart_upload", "write", self._key, Metadata=self._metadata)
            self._upload_id = begun["UploadId"]
        number = len(self._parts) + 1
        sent = self._bucket.call(
            "upload_part", "write", self._key, UploadId=self._upload_id, PartNumber=number, Body=data
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
