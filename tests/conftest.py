from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import settings

from cluster.connect import connect, disconnect
from datasets_spec.storage.s3_bucket import forget_sessions, num_sessions
from tests.makers.ray_head import HeadNode, start_head
from tests.makers.s3_server import S3Server, plan_s3, run_s3

# The same examples on every machine and every time; `--hypothesis-profile=random` looks for new ones.
# Time limits a call would fail on a busy machine; what is slow is a matter for --durations.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("random", deadline=None, max_examples=1_000)
settings.load_profile("fixed")

_FREE_AGAIN_S = 60.0
_SESSIONS_SEEN = [0]
# Ray's workers step back behind everything else on the machine; beside two busy processes ours would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")
# What slots remember of earlier runs (`trainers.executors.remembered_packs`) is no test's business.
_CACHE = tempfile.TemporaryDirectory(prefix="recombine-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start a Ray come first and share one process, whole studies another, and what is left follows.

    A study is a command with a Ray of its own, so it may run beside the others. Among each, what shares a cluster
    comes last: none is idle beside other tests, nor seen by one that does not ask.
    """
    groups = {item: _group(item) for item in items}
    items.sort(key=lambda item: (groups[item] not in {"ray", "studies"}, _shared_cluster(item)))
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str:
    if not _starts_ray(item):
        return str(item.path)
    return "studies" if item.path.parent.name == "studies" else "ray"


def _starts_ray(item: pytest.Item) -> bool:
    return item.get_closest_marker("ray") is not None or _shared_cluster(item) > 0 or _needs_s3(item)


def _needs_s3(item: pytest.Item) -> bool:
    """Data in a bucket are prepared by Ray, so one S3 server, in Ray's process, is enough for all."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return "s3_server" in getattr(item, "fixturenames", ()) or parameters.get("storage") == "s3"


def _shared_cluster(item: pytest.Item) -> int:
    names = getattr(item, "fixturenames", ())
    return 2 if "shared_ray" in names else 1 if "head" in names else 0


@pytest.fixture(scope="session")
def s3_address() -> S3Server:
    """Where an S3 server runs as soon as a test asks for :func:`s3_server`."""
    return plan_s3()


@pytest.fixture(scope="session")
def s3_server(s3_address: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback; who uses it sets its `environment`, as :func:`s3` does."""
    with run_s3(s3_address, tmp_path_factory.mktemp("s3")):
        yield s3_address


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The same, with its credentials in the environment of this process."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    if num_sessions() != _SESSIONS_SEEN[0]:  # a lease that was dropped between tests has opened one without them
        forget_sessions()
    yield s3_server
    _SESSIONS_SEEN[0] = num_sessions()


@pytest.fixture
def s3_anew(s3: S3Server) -> Iterator[S3Server]:
    """The same for a test that changes the environment: what other tests opened is not used, nor left to them."""
    forget_sessions()
    yield s3
    forget_sessions()


@pytest.fixture(scope="session")
def head() -> Iterator[HeadNode]:
    """A head node outside of this process, for what submits to it or joins it."""
    with start_head(num_cpus=2) as node:
        yield node


@pytest.fixture(scope="session")
def shared_ray(s3_address: S3Server) -> Iterator[None]:
    """Started as a study starts it: with its settings, and tried again where it times out; it may read buckets."""
    with patch.dict(os.environ, s3_address.environment):
        connection = connect("local", num_cpus=2, dashboard=False, object_store_gib=0.15)
        for note in connection.notes:
            warnings.warn(note, stacklevel=1)
        try:
            yield
        finally:
            disconnect()


@pytest.fixture(scope="module")
def local_ray(shared_ray: None) -> Iterator[None]:
    """A Ray of this process alone, as small as it gets; the module that leaves something running in it fails."""
    import ray

    yield
    whole, deadline = ray.cluster_resources()["CPU"], time.monotonic() + _FREE_AGAIN_S
    while ray.available_resources().get("CPU", 0.0) < whole and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources().get("CPU", 0.0) == whole, "an actor, a task or a placement group is left"
