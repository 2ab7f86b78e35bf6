from __future__ import annotations

from pathlib import Path

from search.study.study import row_counts
from tests.makers.study_fixture import open_study, write_store


def test_rows_are_known_once_the_data_are_prepared(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert row_counts(study) == {}
    write_store(study, {"ct-lung/train": 7})
    assert row_counts(study)["ct-lung"] == {"train": 7, "search": 4, "confirm": 4, "sealed": 4}
