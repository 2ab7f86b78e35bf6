from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings

from cluster.ray_start import init_ray

# The same examples on every machine and every time; `--hypothesis-profile=random` looks for new ones.
# Time limits a call would fail on a busy machine; what is slow is a matter for --durations.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("random", deadline=None, max_examples=1_000)
settings.load_profile("fixed")

_FREE_AGAIN_S = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares this process's Ray runs last: no test sees it that does not ask, and it is never idle."""
    items.sort(key=lambda item: "shared_ray" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[None]:
    import ray

    init_ray(
        warnings.warn,
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=150_000_000,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def local_ray(shared_ray: None) -> Iterator[None]:
    """A Ray of this process alone, as small as it gets; the module that leaves something running in it fails."""
    import ray

    yield
    whole, deadline = ray.cluster_resources()["CPU"], time.monotonic() + _FREE_AGAIN_S
    while ray.available_resources().get("CPU", 0.0) < whole and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources().get("CPU", 0.0) == whole, "an actor, a task or a placement group is left"
