"""In a bucket, too, who reads a generation keeps it, one holds the lock, and the highest number counts."""

from __future__ import annotations

import gc
import json
import pickle
import threading
import time
import uuid
from typing import Any

import pytest

from datasets_spec.errors import StorageError, StoreError
from datasets_spec.prepare.opening.attempts import begin, num_begun, num_repeated
from datasets_spec.storage import lock as object_lock
from datasets_spec.storage.files import files_in, put, sizes_below
from datasets_spec.storage.place import S3Place
from datasets_spec.store import lease as lease_module
from datasets_spec.store import lock as lock_module
from datasets_spec.store import store as store_module
from datasets_spec.store.generations import GENERATIONS, collect_garbage
from datasets_spec.store.lease import LEASES, take_lease
from datasets_spec.store.lock import LOCK_NAME, locked
from datasets_spec.store.manifest import MANIFESTS, StoreManifest, read_manifest, write_manifest
from datasets_spec.store.secret import make_secret, read_secret
from datasets_spec.store.store import open_store
from tests.makers.s3_server import S3Server


@pytest.fixture
def root(s3: S3Server) -> S3Place:
    return S3Place(s3.bucket, uuid.uuid4().hex)


def publish(root: S3Place, name: str, *, fence: int) -> None:
    """Make a generation current, without rows."""
    folder = root / GENERATIONS / f"{fence:010d}-{name}"
    put(folder / "data" / "part", b"0123456789")
    manifest = StoreManifest(
        catalog_name="c",
        task_map="identity",
        seed=0,
        fingerprint=name,
        inputs_fingerprint=name,
        generation=f"{GENERATIONS}/{folder.name}",
        subsets={},
    )
    write_manifest(root, manifest, fence=fence)


def published(root: S3Place, name: str) -> None:
    with locked(root) as hold:
        publish(root, name, fence=hold.fence)


def names(root: S3Place) -> list[str]:
    return sorted({path.partition("/")[0].partition("-")[2] for path in sizes_below(root / GENERATIONS)})


def test_what_is_read_stays_and_the_rest_goes(root: S3Place) -> None:
    assert collect_garbage(root).removed == ()
    with pytest.raises(StoreError, match="holds no prepared store"):
        open_store(root)
    published(root, "a")
    first = open_store(root)
    for name in ("b", "c"):
        published(root, name)
    assert [store.fingerprint for store in (first, open_store(root))] == ["a", "c"]
    copy = pickle.loads(pickle.dumps(first))
    found = collect_garbage(root)
    assert [(old.name[11:], old.num_bytes) for old in found.removed] == [("b", 10)]
    assert [old.name[11:] for old in found.held] == ["a"]
    assert list(files_in(root / MANIFESTS)) == ["0000000003.json"]
    first.close()
    first.close()
    assert copy.fingerprint == "a"
    assert [old.name[11:] for old in collect_garbage(root).removed] == ["a"]
    assert names(root) == ["c"]
    gc.collect()  # a store that is forgotten lets go, without waiting for it
    deadline = time.monotonic() + 60
    while sizes_below(root / LEASES) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sizes_below(root / LEASES) == {}


def test_a_reader_lives_by_its_signs_and_a_dead_one_holds_nothing(
    root: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "a")
    published(root, "b")
    dead = root / LEASES / "0000000001-a" / "dead"
    put(dead, b"")
    assert [old.name[11:] for old in collect_garbage(root).held] == ["a"]
    # Clocks of buckets tick in seconds.
    monkeypatch.setattr(lease_module, "LEASE_LIFE_S", 1.0)
    lease = take_lease(root / GENERATIONS / "0000000001-a")
    assert lease is not None
    time.sleep(2.2)
    assert [old.name[11:] for old in collect_garbage(root).held] == ["a"]
    lease.release()
    assert [old.name[11:] for old in collect_garbage(root).removed] == ["a"]
    assert not dead.exists()


def test_an_end_does_not_wait_for_a_bucket_that_does_not_answer(root: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    called, answers = threading.Event(), threading.Event()

    def remove(*_: object) -> None:
        called.set()
        answers.wait()

    monkeypatch.setattr(lease_module, "END_WAIT_S", 0.01)
    monkeypatch.setattr(type(root.storage), "remove", remove)
    lease = take_lease(root / GENERATIONS / "0000000001-a")
    assert lease is not None
    end = threading.Thread(target=lease.release, daemon=True)
    end.start()
    end.join(timeout=10)
    has_ended = not end.is_alive()
    assert called.wait(timeout=30)
    answers.set()
    assert has_ended


def test_a_store_that_is_replaced_while_it_is_opened_is_opened_as_it_is_then(
    root: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(root, "a")
    waiting = ["b"]

    def replaced_meanwhile(generation: S3Place) -> Any:
        if waiting:
            published(root, waiting.pop())
            collect_garbage(root)
        return take_lease(generation)

    monkeypatch.setattr(store_module, "take_lease", replaced_meanwhile)
    assert open_store(root).fingerprint == "b"
    assert names(root) == ["b"]


def test_one_prepares_at_a_time_and_who_slept_replaces_nothing(root: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(root):  # so that there is a lower number than that of the next
        pass
    told: list[str] = []
    monkeypatch.setattr(lock_module, "WAIT_S", 1.0)
    with locked(root) as hold:
        publish(root, "second", fence=hold.fence)
        with pytest.raises(StorageError, match="in use by process"), locked(root, is_patient=True, tell=told.append):
            raise AssertionError("it was held")
        with pytest.raises(StorageError, match="in use by process"):
            collect_garbage(root)
        # Its owner slept; another one followed, and published.
        put(root / LOCK_NAME / object_lock.name_of(hold.fence + 1), json.dumps({"is_done": True}).encode())
        publish(root, "third", fence=hold.fence + 1)
        with pytest.raises(StorageError, match="was lost"):
            hold.require()
    (line,) = told
    assert "waiting 1 s at most" in line
    publish(root, "late", fence=hold.fence - 1)
    manifest = read_manifest(root)
    assert manifest is not None
    assert manifest.fingerprint == "third"


def test_a_server_that_overwrites_is_refused(root: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(root.storage), "create", type(root.storage).replace)
    with pytest.raises(StorageError, match="overwrites objects that are to be new"), locked(root):
        raise AssertionError("it was taken")


def test_the_secret_is_made_once(root: S3Place) -> None:
    secret = read_secret(make_secret(root))
    assert read_secret(make_secret(root)) == secret
    assert len(secret) == 32


def test_attempts_are_counted(root: S3Place) -> None:
    assert [num_begun(root, ["a"]), begin(root, ["a"]), begin(root, ["b"]), begin(root, ["a"])] == [0, 1, 1, 2]
    assert num_begun(root, ["a"]) == 2
    assert num_repeated(root) == 1
