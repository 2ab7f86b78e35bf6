from __future__ import annotations

import pytest

from tests.makers.prepared_corpus import Prepared, prepare_corpus


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, shared_ray: None) -> Prepared:
    """Prepared once for every test that looks at it; nobody writes to it."""
    return prepare_corpus(tmp_path_factory.mktemp("corpus"))
