"""A plan says where the questions that verdicts rest on come from few patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.planning.few_patients import few_patients_lines
from tests.makers.study_fixture import open_study, write_store


def test_few_patients_are_told_of_the_splits_that_are_judged(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert few_patients_lines(study) == []
    write_store(study, {"confirm": 30, "sealed": 30}, num_patients=3)
    told = "questions of mr-lung on {} come from patients, or images, that count as 3: they see less than that"
    assert few_patients_lines(study) == [f"the 30 {told.format(split)}" for split in ("confirm", "sealed")]
    write_store(study, {"confirm": 30, "sealed": 30}, num_patients=15)
    assert few_patients_lines(study) == []
    write_store(study, {"confirm": 2, "sealed": 30}, num_patients=1)
    assert [line.split(": ")[1] for line in few_patients_lines(study)] == ["they show no difference"] * 2


@pytest.mark.parametrize(
    ("changes", "splits"),
    [
        ({}, ["confirm", "sealed"]),
        ({"confirm.open_sealed": False}, ["confirm"]),
        ({"confirm.enabled": False}, []),
    ],
)
def test_what_the_study_does_not_open_is_not_named(tmp_path: Path, changes: dict[str, bool], splits: list[str]) -> None:
    study = open_study(tmp_path, changes)
    write_store(study, {"confirm": 30, "sealed": 30}, num_patients=3)
    assert [line.split(" on ")[1].split()[0] for line in few_patients_lines(study)] == splits
