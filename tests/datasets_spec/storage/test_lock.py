"""A lock has one owner at a time, outlives none, and numbers its owners."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from datasets_spec.errors import StorageError
from datasets_spec.storage import lock as module
from datasets_spec.storage.local import LocalStorage
from datasets_spec.storage.lock import HeldLock, locked, take
from datasets_spec.storage.storage import Storage

LIFE_S = 0.3


@pytest.fixture
def fine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local disk's clock has no ticks of a second."""
    monkeypatch.setattr(module, "_TICKS_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_S", 0.02)


def taken_asleep(storage: Storage, awake: threading.Event, monkeypatch: pytest.MonkeyPatch) -> HeldLock:
    """A lock whose owner writes no sign of life before it is awake."""
    live = HeldLock._live

    def sleep_and_live(lock: HeldLock) -> None:
        awake.wait()
        live(lock)

    with monkeypatch.context() as patched:
        patched.setattr(HeldLock, "_live", sleep_and_live)
        return take(storage, "lock", life_s=LIFE_S)


def test_one_holds_it_and_is_named(storage: Storage) -> None:
    with locked(storage, "lock") as lock:
        lock.require()
        with pytest.raises(StorageError, match=r"in use by process \d+ on .*last sign of life") as caught:
            take(storage, "lock")
        assert storage.root in str(caught.value)
    with locked(storage, "lock") as again:
        assert again.fence == lock.fence + 1
    assert len(list(storage.objects("lock/"))) == 1


def test_who_waits_gets_it_when_it_is_given_back(storage: Storage) -> None:
    lock = take(storage, "lock")
    threading.Timer(0.2, lock.release).start()
    with locked(storage, "lock", wait_s=30) as mine:
        assert mine.fence == lock.fence + 1


def test_an_owner_that_lives_keeps_it_for_longer_than_its_time(tmp_path: Path, fine_clock: None) -> None:
    storage = LocalStorage(tmp_path)
    with locked(storage, "lock", life_s=LIFE_S) as lock:
        time.sleep(3 * LIFE_S)
        with pytest.raises(StorageError, match="in use"):
            take(storage, "lock", life_s=LIFE_S)
        lock.require()


@pytest.mark.usefixtures("fine_clock")
def test_a_killed_owner_is_followed(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from datasets_spec.storage.local import LocalStorage;"
        "from datasets_spec.storage.lock import take;"
        f"lock = take(LocalStorage(pathlib.Path(sys.argv[1])), 'lock', life_s={LIFE_S});"
        "print(lock.fence, flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        fence = int(process.stdout.readline())
        process.kill()
    storage = LocalStorage(tmp_path)
    with locked(storage, "lock", life_s=LIFE_S, wait_s=30) as lock:
        assert lock.fence == fence + 1


@pytest.mark.usefixtures("fine_clock")
def test_an_owner_that_slept_learns_that_it_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, awake = LocalStorage(tmp_path), threading.Event()
    sleeper = taken_asleep(storage, awake, monkeypatch)
    with locked(storage, "lock", life_s=LIFE_S, wait_s=30) as successor:
        with pytest.raises(StorageError, match="was lost"):
            sleeper.require()
        awake.set()
        sleeper.release()  # changes nothing for its successor
        successor.require()
        with pytest.raises(StorageError, match="in use"):
            take(storage, "lock", life_s=LIFE_S)


def test_an_end_does_not_wait_for_a_storage_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, answers = threading.Event(), threading.Event()

    def replace(*_: object) -> None:
        called.set()
        answers.wait()

    monkeypatch.setattr(module, "END_WAIT_S", 0.01)
    monkeypatch.setattr(LocalStorage, "replace", replace)
    lock = take(LocalStorage(tmp_path), "lock", life_s=0.03)
    assert called.wait(timeout=30)
    end = threading.Thread(target=lock.release, daemon=True)
    end.start()
    end.join(timeout=10)
    has_ended = not end.is_alive()
    answers.set()
    assert has_ended


@pytest.mark.usefixtures("fine_clock")
def test_an_owner_without_signs_of_life_gives_up_before_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = taken_asleep(LocalStorage(tmp_path), threading.Event(), monkeypatch)
    time.sleep(1.5 * LIFE_S)
    with pytest.raises(StorageError, match="was lost"):
        lock.require()


def test_of_many_who_ask_at_once_one_gets_it(storage: Storage) -> None:
    held: list[int] = []
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        with suppress(StorageError):
            held.append(take(storage, "lock").fence)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [1]


def test_a_number_that_was_tidied_away_is_not_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looked before the others ran through the next numbers creates one that is free again, and steps back."""
    storage = LocalStorage(tmp_path)
    look = module._newest
    late = [look(storage, "lock")]
    for _ in range(2):
        with locked(storage, "lock"):
            pass
    holder = take(storage, "lock")
    monkeypatch.setattr(module, "_newest", lambda *args: late.pop() if late else look(*args))
    with pytest.raises(StorageError, match="in use"):
        take(storage, "lock")
    holder.require()
