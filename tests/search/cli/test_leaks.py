"""What `recombine data leaks` prints and draws, over pairs written without Ray."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_spec.errors import StoreError
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, TiedRow, TiedRows, write_tied_rows
from search.cli.leaks import leaks
from search.cli.verbs import app
from tests.makers.on_disk import on_disk
from tests.makers.scans import head_slice
from tests.makers.study_fixture import open_study, write_store, write_study


def row(root: Path, number: int, split: str, outcome: str = "kept") -> TiedRow:
    return TiedRow(
        subset="ct-lung",
        file="lung <1>.json",
        index=number,
        split=split,
        outcome=outcome,
        root=str(root),
        published=f"patient-4711/{number}.png",
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study whose store ties three pairs of rows; of the last the image is gone."""
    (tmp_path / "patient-4711").mkdir()
    for number in range(3):
        head_slice(1, 0.1 * number).save(tmp_path / "patient-4711" / f"{number}.png")
    study_file = write_study(tmp_path)
    store = write_store(open_study(tmp_path))
    generation = on_disk(store.directory) / store.manifest.generation
    generation.mkdir(exist_ok=True)
    pairs = [
        TiedRows(
            level="near",
            local=0.931,
            detail=0.612,
            one=row(tmp_path, 0, "train", "leaked_row"),
            two=row(tmp_path, 1, "sealed"),
        ),
        TiedRows(
            level="slices",
            local=0.951,
            detail=0.712,
            one=row(tmp_path, 1, "train"),
            two=row(tmp_path, 2, "sealed"),
        ),
        TiedRows(level="pixels", local=1, detail=1, one=row(tmp_path, 3, "train"), two=row(tmp_path, 2, "train")),
    ]
    write_tied_rows(pairs, generation / TIED_ROWS_NAME)
    return study_file


def test_pairs_are_named_by_file_and_row_and_what_was_done(study: Path) -> None:
    shown = CliRunner().invoke(app, ["data", "leaks", str(study)])
    assert shown.exit_code == 0, shown.output
    assert "Rows that show the same (3 of 3 pairs)" in shown.output
    lines = [re.sub(r"  +", " | ", line.strip()) for line in shown.output.splitlines()[2:5]]
    assert lines == [
        "near | 0.931 | 0.612 | ct-lung lung <1>.json row 0 | ct-lung lung <1>.json row 1 "
        "| leaked_row (train) / kept (sealed)",
        "slices | 0.951 | 0.712 | ct-lung lung <1>.json row 1 | ct-lung lung <1>.json row 2 | kept in train and sealed",
        "pixels | 1.000 | 1.000 | ct-lung lung <1>.json row 3 | ct-lung lung <1>.json row 2 | both kept (train)",
    ]
    assert "4711" not in shown.output


def test_the_sheet_holds_both_pictures_and_neither_path_nor_link(study: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    sheet.write_text("what others could read")
    sheet.chmod(0o644)
    shown = CliRunner().invoke(app, ["data", "leaks", str(study), "--pairs", "3", "--sheet", str(sheet)])
    assert shown.exit_code == 0, shown.output
    page = sheet.read_text()
    assert page.count('<img alt="" src="data:image/jpeg;base64,') == 5
    assert page.count("the image cannot be shown: missing_image") == 1
    assert "lung &lt;1&gt;.json row 2" in page
    assert "4711" not in page
    assert "http" not in page
    assert sheet.stat().st_mode & 0o077 == 0


def test_as_many_pairs_as_asked_for_are_shown(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaks(study, [], num_pairs=1, sheet=None)
    shown = capsys.readouterr().out
    assert "(1 of 3 pairs)" in shown
    assert "slices" not in shown


def test_a_store_without_the_list_says_how_to_get_it(tmp_path: Path) -> None:
    study_file = write_study(tmp_path)
    write_store(open_study(tmp_path))
    with pytest.raises(StoreError, match="which says which rows show the same"):
        leaks(study_file, [], num_pairs=1, sheet=None)
