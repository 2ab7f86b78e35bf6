"""Of those who create one object exactly one wins; large ones are whole; a killed writer publishes nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_spec.storage.storage import Storage

# Small ones, by both ways to write; what S3 takes in parts has a test of its own.
CONTENTS = st.lists(st.tuples(st.binary(max_size=64), st.booleans()), min_size=2, max_size=5)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=CONTENTS)
def test_of_concurrent_writers_one_wins(storage: Storage, contents: list[tuple[bytes, bool]]) -> None:
    key = uuid.uuid4().hex
    ends, winners = race(storage, key, contents)
    assert ends == Counter(won=1, lost=len(contents) - 1)
    assert winners == [storage.read(key)]


def test_of_concurrent_writers_of_large_objects_one_is_read_whole(storage: Storage) -> None:
    contents = [(bytes([number]) * (17 << 20), True) for number in range(2)]
    ends, winners = race(storage, "large", contents)
    # A server may look for the object before it puts the parts together: SeaweedFS 4.48 then refuses neither.
    assert ends["won"] >= 1
    assert storage.read("large") in winners
    assert storage.sweep() == 0


def race(storage: Storage, key: str, contents: list[tuple[bytes, bool]]) -> tuple[Counter[str], list[bytes]]:
    """Lets one thread a content create an object; returns how many won and lost, and what the winners wrote."""
    barrier, ends = threading.Barrier(len(contents)), Counter[str]()
    winners: list[bytes] = []

    def write(content: bytes, is_streamed: bool) -> None:
        barrier.wait()
        try:
            if is_streamed:
                with storage.writer(key) as file:
                    file.write(content)
            else:
                storage.create(key, content)
        except FileExistsError:
            ends["lost"] += 1
        else:
            ends["won"] += 1
            winners.append(content)

    threads = [threading.Thread(target=write, args=content) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends, winners


@pytest.mark.parametrize("num_mib", [1, 17])
def test_a_killed_writer_publishes_nothing_and_is_swept(storage: Storage, num_mib: int) -> None:
    code = (
        "import sys; from datasets_spec.storage.place import open_storage\n"
        "with open_storage(sys.argv[1]).writer('folder/pack') as file:\n"
        "    file.write(bytes(int(sys.argv[2]) << 20)); file.flush(); print('written', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, storage.root, str(num_mib)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.kill()
    assert not list(storage.objects())
    assert storage.children("folder")[1] == []
    storage.create("folder/pack", b"another's")
    with ExitStack() as later:

        def begin_next() -> None:
            later.enter_context(storage.writer("folder/next")).write(bytes(num_mib << 20))

        storage.sweep("folder/", require=begin_next)
    state = storage.state("folder/next")  # begun after the look, hence not removed
    assert state is not None
    assert state.num_bytes == num_mib << 20
    assert storage.sweep("folder/") == 0
    assert storage.read("folder/pack") == b"another's"
