from __future__ import annotations

from pathlib import Path

import pytest

from search.report.run_files import RunRecords, load_run
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def records(finished_run: Path) -> RunRecords:
    return load_run(RunDir(finished_run))


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a finished run, with the one without scripts beside it: what browsers look at."""
    return write_report(RunDir(write_run(tmp_path_factory.mktemp("browser") / "run")), is_flat=True)
