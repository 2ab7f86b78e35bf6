"""Images in a bucket: the same verdicts as on a disk, one request each when they are read ahead."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pyarrow as pa
import pytest

from datasets_spec.errors import StorageError
from datasets_spec.images.file_state import ABSENT
from datasets_spec.images.files import file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.objects import NUM_AHEAD, read_ahead
from datasets_spec.storage.place import S3Place
from datasets_spec.storage.s3 import Fetched, S3Storage
from datasets_spec.store.image_states import images_unchanged
from tests.makers.s3_server import S3Server

LIMITS = ImageLimits(max_bytes=100)


@pytest.fixture
def root(s3: S3Server) -> S3Place:
    return S3Place(s3.bucket, "images of a test")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was asked for."""
    counts = Counter[str]()
    start, look = S3Storage.start_fetch, S3Storage._look

    def counted(self: S3Storage, key: str, **options: Any) -> Future[Fetched]:
        counts[key] += 1
        return start(self, key, **options)

    def counted_look(self: S3Storage, key: str) -> Any:
        counts[key] += 1
        return look(self, key)

    monkeypatch.setattr(S3Storage, "start_fetch", counted)
    monkeypatch.setattr(S3Storage, "_look", counted_look)
    return counts


@pytest.mark.parametrize(
    "published", ["/a.png", "../a.png", "a/../b.png", "", "gs://bucket/a.png", "s3://bucket/a.png"]
)
def test_a_path_that_leads_elsewhere_is_refused(published: str) -> None:
    with pytest.raises(ImageRefused, match="path_outside_root"):
        resolve_beneath("s3://bucket/root", published)
    assert resolve_beneath("s3://bucket/root", "./b//ü 1.png") == S3Place("bucket", "root/b/ü 1.png")


def test_absent_empty_and_large_objects(root: S3Place) -> None:
    for name, num in (("empty", 0), ("fits", 100), ("large", 101), ("larger", 500)):
        root.storage.replace((root / name).key, b"x" * num)
    assert read_image(root / "fits", LIMITS) == b"x" * 100
    assert read_image(root / "empty", LIMITS) == b""
    assert file_state(root / "larger").num_bytes == 500
    assert file_state(root / "absent") == ABSENT
    for name in ("large", "larger"):
        with pytest.raises(ImageRefused, match="image_too_large"):
            read_image(root / name, LIMITS)
    with pytest.raises(ImageRefused, match="missing_image"):
        read_image(root / "absent", LIMITS)
    with pytest.raises(StorageError, match="no bucket"):
        read_image(S3Place("never-made", "a"), LIMITS)


@pytest.mark.parametrize("is_ahead", [False, True])
@pytest.mark.parametrize("look", [file_state, lambda place: read_image(place, LIMITS)])
def test_a_bucket_that_refuses_is_told_without_the_image(
    s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch, look: Callable[[S3Place], object], is_ahead: bool
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    place = S3Place(s3_anew.bucket, "images/DOE_JOHN/ct1.png")
    with read_ahead([place] if is_ahead else [], LIMITS), pytest.raises(StorageError) as caught:
        look(place)
    assert f"an image in s3://{s3_anew.bucket}" in caught.value.message
    assert "DOE" not in str(caught.value)
    assert caught.value.hint is not None


def test_read_ahead_or_not_the_same_is_seen(root: S3Place, requests: Counter[str]) -> None:
    for number in range(3 * NUM_AHEAD):
        root.storage.replace((root / f"ahead/{number}").key, bytes(number * 5))
    drawn = random.Random(0)
    places = [root / f"ahead/{drawn.randrange(4 * NUM_AHEAD)}" for _ in range(60)]
    plain = [looked_at(place) for place in places]
    requests.clear()
    with read_ahead(places, LIMITS):
        # As a pass does that remembers what it opened, with what was not announced between.
        opened = {place: looked_at(place) for place in dict.fromkeys(places)}
        assert [opened[place] for place in places] == plain
        assert looked_at(root / "fits") == looked_at(root / "fits")
    assert {requests[place.key] for place in places} == {1}


def looked_at(place: S3Place) -> object:
    state = file_state(place)
    try:
        return state, read_image(place, LIMITS)
    except ImageRefused as error:
        return state, error.reason


@pytest.mark.parametrize("change", ["none", "content", "size", "gone", "arrived"])
def test_a_changed_object_is_seen(root: S3Place, change: str) -> None:
    names = [f"states/{folder}/{number}" for folder in ("a", "b") for number in range(3)]
    for name in names:
        root.storage.replace((root / name).key, name.encode())
    names.append("states/b/later")
    root.storage.remove((root / names[-1]).key)
    states = [file_state(root / name) for name in names]
    numbers = {"num_bytes": [state.num_bytes for state in states], "mtime_ns": [state.mtime_ns for state in states]}
    table = pa.table({"subset": ["s"] * len(names), "path": names, **numbers})
    if change == "gone":
        root.storage.remove((root / names[4]).key)
    elif change != "none":
        key = (root / names[-1 if change == "arrived" else 4]).key
        root.storage.replace(key, {"content": b"states/b/x", "size": b"longer than before", "arrived": b"new"}[change])
    assert images_unchanged(table, {"s": str(root)}) == (change == "none")
