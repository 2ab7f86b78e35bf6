"""One bucket, called verb by verb through s3fs: its session, its retries and its event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Final, TypeVar

from datasets_spec.errors import StorageError
from datasets_spec.storage.s3_words import in_words

MISSING_EXTRA: Final = "pip install 'recombine[s3]'"
# The most that S3 puts into one answer.
_NAMES_PER_ANSWER: Final = 1000
# Requests of a process at once, where many small ones are made: at some 20 ms each, 800 a second, which is about what
# one processor sends and takes. botocore opens 10 connections unless it is told.
NUM_AHEAD: Final = 16
T = TypeVar("T")


class Bucket:
    """A bucket, reached with the credentials and at the endpoint of this process.

    Args:
        name: Its name.

    Raises:
        StorageError: The extra ``s3`` is not installed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        _file_system(os.getpid())

    def call(self, verb: str, what: str, key: str = "", **options: Any) -> Any:
        """Calls the server and waits; see :meth:`answer`."""
        return self.start(self.answer(verb, what, key, **options)).result()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts work on the event loop that all buckets of the process share.

        Args:
            work: What to run there.
        """
        return asyncio.run_coroutine_threadsafe(work, _file_system(os.getpid()).loop)

    async def answer(self, verb: str, what: str, key: str = "", **options: Any) -> Any:
        """Calls the server.

        Args:
            verb: Call of S3, as in "put_object".
            what: The same for a message, as in "write".
            key: The object; "" where it is about none.
            options: Parameters of the call.

        Raises:
            Exception: As :func:`in_words` says.
        """
        named = {"Key": key} if key else {}
        with in_words(what, self.name, key):
            return await _file_system(os.getpid())._call_s3(verb, Bucket=self.name, **named, **options)

    async def read(self, key: str, **options: Any) -> tuple[bytes, Mapping[str, Any]]:
        """Returns the content of an object, or a part of it, and what is said of the whole.

        Args:
            key: The object.
            options: Parameters of the call.
        """
        answer = await self.answer("get_object", "read", key, **options)
        with in_words("read", self.name, key):
            async with answer["Body"] as body:
                return await body.read(), answer

    def pages(self, prefix: str, **options: Any) -> Iterator[Mapping[str, Any]]:
        """Yields the answers to a listing.

        Args:
            prefix: What keys begin with.
            options: Parameters of the call.
        """
        asked: dict[str, Any] = {"Prefix": prefix, "MaxKeys": _NAMES_PER_ANSWER, **options}
        while True:
            page = self.call("list_objects_v2", "list", **asked)
            yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def require(self) -> None:
        """Refuses a bucket that is not there; a look at an object says the same for both. Remembered once it is.

        Raises:
            StorageError: There is none.
        """
        _require_bucket(self.name, os.getpid())


@lru_cache(maxsize=64)
def _require_bucket(name: str, _: int) -> None:
    next(Bucket(name).pages("", MaxKeys=1))


def forget_sessions() -> None:
    """Makes what is opened next look for credentials and endpoint anew."""
    _file_system.cache_clear()
    _require_bucket.cache_clear()


def num_sessions() -> int:
    """Returns how many sessions were opened since they were forgotten last."""
    return _file_system.cache_info().misses


@lru_cache(maxsize=1)
def _file_system(_: int) -> Any:
    """One for a process: a fork must not use its parent's connections."""
    try:
        from s3fs import S3FileSystem
    except ImportError:
        raise StorageError("s3:// needs the extra `s3`, which is not installed here", hint=MISSING_EXTRA) from None
    # A listing that is remembered would show what was.
    connections = {"max_pool_connections": 2 * NUM_AHEAD}
    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs=connections)
