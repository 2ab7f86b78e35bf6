"""A bucket of S3, or of a server that speaks like it, as a storage."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, Final, cast

from datasets_spec.errors import StorageError
from datasets_spec.storage.range_file import BUFFER_BYTES, RangeFile
from datasets_spec.storage.s3_bucket import NUM_AHEAD, Bucket
from datasets_spec.storage.s3_upload import Upload
from datasets_spec.storage.s3_words import PastEndError, WrittenAtOnceError
from datasets_spec.storage.storage import ObjectState, checked_key

# Which call wrote an object. S3 repeats a write whose answer was lost, and the repetition finds the object there.
_WRITER: Final = "writer"
_NUM_TRIES: Final = 5
_WAIT_S: Final = 0.2
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A part of an object and what is known of the whole.

    Args:
        data: The bytes.
        state: The whole object's state.
    """

    data: bytes
    state: ObjectState


class S3Storage:
    """Objects of a bucket beneath a prefix.

    Credentials and endpoint are those of the process: the standard chain of AWS, and ``AWS_ENDPOINT_URL``.

    Args:
        bucket: Name of the bucket.
        prefix: What stands before keys, without a slash at its end.

    Raises:
        StorageError: The extra ``s3`` is not installed.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = Bucket(bucket)
        self._before = f"{prefix}/" if prefix else ""

    @property
    def root(self) -> str:
        """Where it is."""
        return f"s3://{self._bucket.name}/{self._before}".rstrip("/")

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`Storage`."""
        return self.start_fetch(key, offset=offset, length=length).result().data

    def start_fetch(self, key: str, *, offset: int = 0, length: int | None = None, tag: str = "") -> Future[Fetched]:
        """Starts to read an object and its state, by one request, and does not wait.

        Args:
            key: Its name.
            offset: First byte.
            length: How many bytes; all that follow where it is None.
            tag: Tag that the object must still have; any where it is "".

        Raises:
            FileNotFoundError: As the future's result: there is no such object.
            StorageError: As the future's result: it has another tag by now, or cannot be read.
        """
        return self._bucket.start(self._fetch(key, offset, length, tag))

    async def _fetch(self, key: str, offset: int, length: int | None, tag: str) -> Fetched:
        full = self._full(key)
        options = {"IfMatch": tag} if tag else {}
        if offset or length is not None:
            options["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            if length == 0:
                raise PastEndError
            data, answer = await self._bucket.read(full, **options)
        except PastEndError:
            answer = await self._bucket.answer("head_object", "look at", full)
            return Fetched(data=b"", state=_state(key, answer["ContentLength"], answer))
        except FileExistsError:
            raise StorageError(f"{self.root}/{key} changed while it was read", hint="run again") from None
        whole = answer["ContentRange"].rsplit("/", 1)[1] if "ContentRange" in answer else len(data)
        return Fetched(data=data, state=_state(key, int(whole), answer))

    def open(self, key: str) -> BinaryIO:
        """See :class:`Storage`."""
        state = self.state(key)
        if state is None:
            raise FileNotFoundError(f"{self.root}/{key}")
        tag, num_bytes = state.tag, state.num_bytes

        def read(offset: int, length: int) -> bytes:
            return self.start_fetch(key, offset=offset, length=length, tag=tag).result().data

        return cast(BinaryIO, io.BufferedReader(RangeFile(read, num_bytes), BUFFER_BYTES))

    def state(self, key: str) -> ObjectState | None:
        """See :class:`Storage`."""
        try:
            answer = self._look(key)
        except FileNotFoundError:
            self.require_bucket()
            return None
        return _state(key, answer["ContentLength"], answer)

    def require_bucket(self) -> None:
        """Refuses a bucket that is not there: asked for an object, a server may say the same of both.

        Raises:
            StorageError: There is none.
        """
        self._bucket.require()

    def objects(self, prefix: str = "") -> Iterator[ObjectState]:
        """See :class:`Storage`."""
        for page in self._bucket.pages(self._before + prefix):
            yield from self._states(page)

    def children(self, folder: str = "") -> tuple[list[str], list[ObjectState]]:
        """See :class:`Storage`."""
        before = self._before + (f"{checked_key(folder)}/" if folder else "")
        folders: list[str] = []
        found: list[ObjectState] = []
        for page in self._bucket.pages(before, Delimiter="/"):
            folders += [item["Prefix"][len(before) : -1] for item in page.get("CommonPrefixes", ())]
            found += self._states(page)
        return sorted((name for name in folders if name), key=os.fsencode), sorted(found, key=_bytes_of_key)

    def _states(self, page: Mapping[str, Any]) -> Iterator[ObjectState]:
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # a folder that a browser of buckets has made
                yield _state(item["Key"][len(self._before) :], item["Size"], item)

    def create(self, key: str, data: bytes) -> None:
        """See :class:`Storage`."""
        writer = uuid.uuid4().hex
        put = {"Body": data, "Metadata": {_WRITER: writer}, "IfNoneMatch": "*"}
        self._publish(key, writer, lambda: self._bucket.call("put_object", "write", self._full(key), **put))

    def replace(self, key: str, data: bytes) -> None:
        """See :class:`Storage`."""
        self._publish(key, "", lambda: self._bucket.call("put_object", "write", self._full(key), Body=data))

    @contextmanager
    def writer(self, key: str) -> Iterator[BinaryIO]:
        """See :class:`Storage`."""
        writer = uuid.uuid4().hex
        upload = Upload(self._bucket, self._full(key), metadata={_WRITER: writer})
        try:
            yield cast(BinaryIO, upload)
            self._publish(key, writer, upload.publish)
        except BaseException:
            upload.abandon()
            raise

    def remove(self, key: str) -> None:
        """See :class:`Storage`."""
        self._bucket.call("delete_object", "remove", self._full(key))

    def remove_all(self, keys: Iterable[str]) -> None:
        """Removes objects, some at a time: a call that takes many at once is not alike on all servers.

        Args:
            keys: Their names.
        """
        running: deque[Future[Any]] = deque()
        for key in keys:
            running.append(self._bucket.start(self._bucket.answer("delete_object", "remove", self._full(key))))
            if len(running) >= NUM_AHEAD:
                running.popleft().result()
        for future in running:
            future.result()

    def sweep(self, prefix: str = "", *, require: Callable[[], None] = lambda: None) -> int:
        """See :class:`Storage`."""
        left = list(self._unfinished(prefix))
        require()
        for upload in left:
            self._bucket.call("abort_multipart_upload", "remove", upload["Key"], UploadId=upload["UploadId"])
        return len(left)

    def _unfinished(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {"Prefix": self._before + prefix}
        while True:
            page = self._bucket.call("list_multipart_uploads", "list the unfinished writes of", **more)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            more |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def age_s(self, key: str) -> float | None:
        """See :class:`Storage`."""
        try:
            answer = self._look(key)
        except FileNotFoundError:
            return None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return float((now - answer["LastModified"]).total_seconds())

    def _full(self, key: str) -> str:
        return self._before + checked_key(key)

    def _look(self, key: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._bucket.call("head_object", "look at", self._full(key))
        return answer

    def _publish(self, key: str, writer: str, write: Callable[[], object]) -> None:
        """Writes; where an object stands in the way, finds out whether this very call wrote it and its answer was lost.

        Args:
            key: The object.
            writer: What the object is marked with.
            write: Writes it.
        """
        for number in range(_NUM_TRIES):
            try:
                write()
            except WrittenAtOnceError:
                time.sleep(_WAIT_S * 2**number)
            except FileExistsError:
                if self._look(key).get("Metadata", {}).get(_WRITER) != writer:
                    raise
                return
            else:
                return
        raise StorageError(f"{self.root}/{key} is being written by others all the time", hint="run again")


def _bytes_of_key(state: ObjectState) -> bytes:
    return os.fsencode(state.key)


def _state(key: str, num_bytes: int, answer: Mapping[str, Any]) -> ObjectState:
    written: datetime = answer["LastModified"]
    tag: str = answer["ETag"]
    # A listing tells parts of seconds, a look at one object none.
    below = int.from_bytes(tag.encode()[-32:], "big") % _SECOND_NS
    return ObjectState(key=key, num_bytes=num_bytes, mtime_ns=int(written.timestamp()) * _SECOND_NS + below, tag=tag)
