from __future__ import annotations

import pytest

from search.study.run_dir import RunDir
from search.study.study import Study
from tests.makers.finished_run import finished_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunDir]:
    """A finished study and its directory, made once; a test that changes a byte puts it back."""
    return finished_study(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def finished_dir(finished: tuple[Study, RunDir]) -> RunDir:
    return finished[1]
