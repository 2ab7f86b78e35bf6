"""What a study directory keeps of its questions: enough for every figure, and no patient, file or rare answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datasets_spec.sample import option_text_key
from search.evidence.groups.strata import SMALL
from search.evidence.inputs.questions import gather_questions, read_questions, write_questions
from tests.makers.study_fixture import open_study

ROWS: list[dict[str, Any]] = [
    {"sample_id": f"q{n}", "options": ["Effusion", "effusion ", f"rare text {n}"], "answer_index": 2 * (n > 12)}
    for n in range(16)
]


class FakeStore:
    """Reads the same rows for every evaluation set."""

    def read(self, name: str, split: str, columns: list[str]) -> Any:
        return pa.Table.from_pylist(ROWS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    groups = {f"q{n}": f"Mrs Patient {n // 3}" for n in range(12)}
    strata = {"site": {f"q{n}": "large" if n < 13 else f"clinic {n}" for n in range(16)}}
    study = open_study(tmp_path)
    store: Any = FakeStore()
    rows = gather_questions(store, study.spec, groups, ["search", "confirm"], "confirm", strata)
    write_questions(rows, tmp_path / "questions.parquet")
    return tmp_path / "questions.parquet"


def test_groups_options_and_strata_come_back(path: Path) -> None:
    kept = read_questions(path)
    assert [kept.groups.get(f"q{n}") for n in (0, 2, 3, 11, 12)] == ["0", "0", "1", "3", None]
    assert set(kept.closed) == {("mr-lung", "search"), ("mr-lung", "confirm")}
    question = kept.closed["mr-lung", "confirm"]["q3"]
    assert question.options[:2] == ("Effusion", "effusion ")
    assert question.options[2].startswith("#")
    assert option_text_key(question.options[2]) == question.options[2]
    assert len({q.options[2] for q in kept.closed["mr-lung", "confirm"].values()}) == 16
    # Numbered: from the hash of so short a text anybody who has a list of diagnoses would read the text.
    assert question.options[2] == "#3"
    assert {kept.strata["site"][f"q{n}"] for n in (0, 12)} == {"large"}
    assert {kept.strata["site"][f"q{n}"] for n in (13, 15)} == {SMALL}


def test_neither_patients_nor_rare_answers_nor_small_strata_are_in_the_file(path: Path) -> None:
    content = path.read_bytes()
    assert b"large" in content
    for text in (b"Patient", b"rare text", b"clinic"):
        assert text not in content


def test_an_answer_about_few_patients_is_not_in_the_file_however_often_it_is_given(tmp_path: Path) -> None:
    groups = {f"q{n}": f"Mrs Patient {n // 4}" for n in range(13)}
    store: Any = FakeStore()
    rows = gather_questions(store, open_study(tmp_path).spec, groups, ["search"], "confirm", {})
    write_questions(rows, tmp_path / "questions.parquet")
    assert b"ffusion" not in (tmp_path / "questions.parquet").read_bytes()
