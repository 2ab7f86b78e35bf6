from __future__ import annotations

from pathlib import Path

import pytest

from search.report.run_files import RunRecords, load_run
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def records(finished_run: Path) -> RunRecords:
    return load_run(RunDir(finished_run))
