"""Images that are objects of a bucket: read by one request each, some ahead of whoever opens them one by one."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from datasets_spec.errors import StorageError
from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.sample import QuarantineReason
from datasets_spec.storage.place import Place, S3Place

if TYPE_CHECKING:
    from datasets_spec.storage.s3 import Fetched

# From S3 a request takes some 20 ms, and an image 5 to 10 ms of a processor: so many keep a process busy.
NUM_AHEAD: Final = 8


def object_state(place: S3Place) -> FileState:
    """Returns size and time of an object, or ``ABSENT``.

    Args:
        place: The object.

    Raises:
        StorageError: Its bucket cannot be used.
    """
    ahead = _AHEAD.get()
    with _bucket_named(place):
        if ahead is not None and (state := ahead.state(place)) is not None:
            return state
        found = place.storage.state(place.key) if place.key else None
    return ABSENT if found is None else FileState(num_bytes=found.num_bytes, mtime_ns=found.mtime_ns)


def read_object(place: S3Place, limits: ImageLimits) -> bytes:
    """Reads an image within the byte limit.

    Args:
        place: The object.
        limits: What it may cost.

    Raises:
        ImageRefused: It is not there, or too large.
        StorageError: Its bucket cannot be used.
    """
    ahead = _AHEAD.get()
    with _bucket_named(place):
        data = None if ahead is None else ahead.data(place)
        if data is None:
            if not place.key or (ahead is not None and ahead.state(place) == ABSENT):
                raise ImageRefused(QuarantineReason.missing_image)
            data = _read_now(place, limits)
    if len(data) > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, f"more than {limits.max_bytes} bytes")
    return data


def _read_now(place: S3Place, limits: ImageLimits) -> bytes:
    try:
        fetched = _start(place, limits).result()
    except FileNotFoundError:
        place.storage.require_bucket()
        raise ImageRefused(QuarantineReason.missing_image) from None
    if fetched.state.num_bytes > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, f"{fetched.state.num_bytes} bytes")
    return fetched.data


@contextmanager
def _bucket_named(place: S3Place) -> Iterator[None]:
    """What a bucket refuses is told of the bucket, and not of the image: a path may name a patient."""
    try:
        yield
    except StorageError as error:
        told = error.message.replace(str(place), f"an image in s3://{place.bucket}")
        raise StorageError(told, hint=error.hint) from None


@contextmanager
def read_ahead(places: Iterable[Place], limits: ImageLimits) -> Iterator[None]:
    """While the block runs, asks a bucket for images before they are opened; paths are left alone.

    Args:
        places: Images in the order in which they will be opened.
        limits: What an image may cost.
    """
    ahead = _Ahead((place for place in places if isinstance(place, S3Place) and place.key), limits)
    token = _AHEAD.set(ahead)
    try:
        yield
    finally:
        _AHEAD.reset(token)
        ahead.stop()


class _Ahead:
    """Images that were asked for: the state of each can be had again and again, its content once."""

    def __init__(self, places: Iterable[S3Place], limits: ImageLimits) -> None:
        self._waiting = deque(dict.fromkeys(places))
        self._limits = limits
        self._running: dict[S3Place, Future[Fetched]] = {}
        self._states: dict[S3Place, FileState] = {}
        self._contents: OrderedDict[S3Place, bytes] = OrderedDict()
        self._go_on()

    def state(self, place: S3Place) -> FileState | None:
        self._settle(place)
        return self._states.get(place)

    def data(self, place: S3Place) -> bytes | None:
        self._settle(place)
        return self._contents.pop(place, None)

    def stop(self) -> None:
        for future in self._running.values():
            future.cancel()

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < NUM_AHEAD:
            place = self._waiting.popleft()
            self._running[place] = _start(place, self._limits)

    def _settle(self, place: S3Place) -> None:
        """Waits for an image, if it was asked for, and asks for the next one."""
        future = self._running.pop(place, None)
        if future is None:
            return
        self._go_on()
        try:
            fetched = future.result()
        except FileNotFoundError:
            place.storage.require_bucket()
            self._states[place] = ABSENT
            return
        self._states[place] = FileState(num_bytes=fetched.state.num_bytes, mtime_ns=fetched.state.mtime_ns)
        self._contents[place] = fetched.data
        if len(self._contents) > NUM_AHEAD:  # nobody opened it: what it shows is known from another row
            self._contents.popitem(last=False)


_AHEAD: ContextVar[_Ahead | None] = ContextVar("ahead", default=None)


def _start(place: S3Place, limits: ImageLimits) -> Future[Fetched]:
    return place.storage.start_fetch(place.key, length=limits.max_bytes + 1)
