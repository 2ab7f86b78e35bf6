from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# Time limits a call would fail on a busy machine; what is slow is a matter for --durations.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray of this process alone, as small as it gets."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=150_000_000, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
