from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.makers.ray_head import HeadNode, start_head


@pytest.fixture(scope="package")
def head() -> Iterator[HeadNode]:
    with start_head() as node:
        yield node
