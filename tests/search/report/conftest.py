from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from search.report.run_files import RunRecords, load_run
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import SUBSETS, TARGETS, write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def records(finished_run: Path) -> RunRecords:
    return load_run(RunDir(finished_run))


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a finished run, with the one without scripts beside it: what browsers look at."""
    run = RunDir(write_run(tmp_path_factory.mktemp("browser") / "run"))
    transfer = pd.read_csv(run / "report" / "transfer.csv")
    own_key = (transfer["source"] == next(iter(SUBSETS))) & (transfer["target"] == next(iter(TARGETS)))
    transfer["exposure"] = own_key.map({True: "in_domain", False: "held_out"})
    transfer.loc[own_key, ["standing", "behind_best", "behind_best_p_value"]] = None
    transfer.to_csv(run / "report" / "transfer.csv", index=False)
    return write_report(run, is_flat=True)
