from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from datasets_spec.errors import UserError
from search.evidence.trials_table import TRIAL_COLUMNS
from search.report.page import compute_downloads
from search.report.run_files import RunRecords, load_run
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import TARGETS, write_run


def test_a_finished_run_misses_nothing(records: RunRecords) -> None:
    assert records.missing == ()
    assert records.targets == tuple(TARGETS)
    assert set(TRIAL_COLUMNS) <= set(records.trials.columns)


def test_what_is_downloaded_has_accuracy_and_score_as_the_table_has_them(tmp_path: Path) -> None:
    """Of words and boxes they differ; charts go by the score."""
    run = write_run(tmp_path / "run")
    table = pd.read_parquet(run / "report" / "trials.parquet")
    table.assign(score=table["accuracy"] / 2).to_parquet(run / "report" / "trials.parquet")
    records = load_run(RunDir(run))
    found = pd.read_csv(io.StringIO(compute_downloads(records)["trials.csv"])).dropna(subset="accuracy")
    written = table.dropna(subset="accuracy")
    assert found["accuracy"].to_list() == pytest.approx(written["accuracy"].to_list(), abs=1e-5)
    assert found["score"].to_list() == pytest.approx((written["accuracy"] / 2).to_list(), abs=1e-5)
    assert records.trials["accuracy"].dropna().to_list() == (written["accuracy"] / 2).to_list()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "run.json").unlink()
    (run / "report" / "transfer.csv").unlink()
    records = load_run(RunDir(run))
    assert records.missing == ("run.json", "report/transfer.csv")
    assert records.transfer.empty
    assert set(records.targets) == set(TARGETS), "the scored sets stand in for the names in run.json"


def test_a_directory_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a study directory"):
        load_run(RunDir(tmp_path))


@pytest.mark.parametrize(
    "name", ["run.json", "selection/selection.json", "report/trials.parquet", "study.resolved.yaml"]
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run")
    (run / name).write_text("{ [broken")
    with pytest.raises(UserError, match=name):
        load_run(RunDir(run))


def test_a_subset_named_NA_stays_a_name(tmp_path: Path) -> None:
    records = load_run(RunDir(write_run(tmp_path / "run", rename={"ct-brain-size": "NA"})))
    assert "NA" in set(records.transfer["source"])


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("cg", ("mri-brain-size", "ct-lung-size", "ct-brain-temporal")),
        ("multi_image", ("ct-brain-temporal",)),
        ("pareto", ("mri-brain-size", "ct-lung-size", "ct-brain-temporal")),
    ],
)
def test_means_are_over_what_the_objective_is_about(
    records: RunRecords, objective: str, expected: tuple[str, ...]
) -> None:
    changed = RunRecords(
        run_dir=records.run_dir,
        run=records.run,
        study={**records.study, "objective": objective},
        selection=None,
        trials=records.trials,
        transfer=records.transfer,
        missing=(),
    )
    assert changed.targets == expected
