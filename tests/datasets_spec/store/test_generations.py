"""Who reads a generation keeps it; the rest goes. Made without Ray; preparing is in prepare/test_prepare_store.py."""

from __future__ import annotations

import fcntl
import gc
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import StoreError
from datasets_spec.store import lease, store
from datasets_spec.store.generations import GENERATIONS, collect_garbage, remove_unheld
from datasets_spec.store.lease import LEASE_NAME
from datasets_spec.store.lock import Hold, locked
from datasets_spec.store.manifest import StoreManifest, write_manifest
from datasets_spec.store.store import open_store

REPOSITORY = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from datasets_spec.store.store import open_store
store = open_store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def publish(root: Path, name: str, num_bytes: int = 10) -> None:
    """Make a generation current, without rows."""
    folder = root / GENERATIONS / name
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "part").write_bytes(bytes(num_bytes))
    manifest = StoreManifest(
        catalog_name="c",
        task_map="identity",
        seed=0,
        fingerprint=name,
        inputs_fingerprint=name,
        generation=f"{GENERATIONS}/{name}",
        subsets={},
    )
    write_manifest(root, manifest)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / GENERATIONS).iterdir())


def test_a_stray_file_among_the_generations_stops_nobody(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    publish(tmp_path, "b")
    (tmp_path / GENERATIONS / ".DS_Store").write_bytes(b"left by a file browser")
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a"]
    assert names(tmp_path) == [".DS_Store", "b"]


def test_what_is_read_stays_and_the_rest_goes(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    first = open_store(tmp_path)
    publish(tmp_path, "b", num_bytes=7)
    publish(tmp_path, "c")
    (tmp_path / GENERATIONS / "half").mkdir()  # of a preparation that was killed
    assert [store.fingerprint for store in (first, open_store(tmp_path))] == ["a", "c"]
    found = collect_garbage(tmp_path)
    assert [(old.name, old.num_bytes) for old in found.removed] == [("b", 7), ("half", 0)]
    assert [old.name for old in found.held] == ["a"]
    assert names(tmp_path) == ["a", "c"]
    first.close()
    first.close()
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a"]
    assert names(tmp_path) == ["c"]
    # The current one goes never, held or not.
    assert collect_garbage(tmp_path).removed == ()


def test_two_readers_hold_one_generation_and_a_store_that_is_forgotten_holds_nothing(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    with open_store(tmp_path) as one, open_store(tmp_path):
        publish(tmp_path, "b")
        one.close()
        assert [old.name for old in collect_garbage(tmp_path).held] == ["a"]
    publish(tmp_path, "c")
    forgotten = open_store(tmp_path)
    publish(tmp_path, "d")
    del forgotten
    gc.collect()
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a", "b", "c"]


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"open\n"
        publish(tmp_path, "b")
        assert [old.name for old in collect_garbage(tmp_path).held] == ["a"]
        reader.kill()
        reader.wait()
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a"]


def test_a_copy_of_a_store_holds_nothing(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    opened = open_store(tmp_path)
    copy = pickle.loads(pickle.dumps(opened))
    assert copy.fingerprint == "a"
    publish(tmp_path, "b")
    opened.close()
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a"]


def test_a_store_that_is_replaced_while_it_is_opened_is_opened_as_it_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, "a")
    take_lease = lease.take_lease
    waiting = ["c", "b"]

    def replaced_meanwhile(generation: Path) -> Any:
        if waiting:
            publish(tmp_path, waiting.pop())
            collect_garbage(tmp_path)
        return take_lease(generation)

    monkeypatch.setattr(store, "take_lease", replaced_meanwhile)
    assert open_store(tmp_path).fingerprint == "c"
    assert names(tmp_path) == ["c"]
    waiting += map(str, range(store.NUM_TRIES))
    with pytest.raises(StoreError, match="again and again"):
        open_store(tmp_path)


def test_a_generation_that_is_being_removed_is_not_opened(tmp_path: Path) -> None:
    publish(tmp_path, "a")
    with (tmp_path / GENERATIONS / "a" / LEASE_NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="again and again"):
            open_store(tmp_path)


def test_without_locks_every_store_opens_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    publish(tmp_path, "a")
    with monkeypatch.context() as without:
        without.setattr(fcntl, "flock", refuse)
        assert open_store(tmp_path).fingerprint == "a"
        publish(tmp_path, "b")
        assert [old.name for old in remove_unheld(tmp_path, f"{GENERATIONS}/b", Hold()).held] == ["a"]
    assert names(tmp_path) == ["a", "b"]


def test_a_removal_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    publish(tmp_path, "b")
    publish(tmp_path, ".removed-a")
    publish(tmp_path, "c")
    assert [old.name for old in collect_garbage(tmp_path).removed] == ["a", "b"]
    assert names(tmp_path) == ["c"]


def test_nothing_is_removed_while_the_store_is_prepared(tmp_path: Path) -> None:
    assert collect_garbage(tmp_path / "none").removed == ()
    assert not (tmp_path / "none").exists()
    publish(tmp_path, "a")
    with locked(tmp_path), pytest.raises(StoreError, match="another process"):
        collect_garbage(tmp_path)
