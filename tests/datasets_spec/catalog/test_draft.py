from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.catalog.draft import draft_catalog, guess_file
from datasets_spec.errors import SpecError, UserError
from tests.makers.corpus import mat_record, save_picture, write_json
from tests.makers.formats import FORMAT_CASES, write_records

CASES = [(name, suffix) for name, case in FORMAT_CASES.items() for suffix in case.suffixes]


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_every_format_is_recognised_with_its_image_folder(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "questions" / f"train{suffix}"
    path.parent.mkdir()
    records = [FORMAT_CASES[name].record(index, f"scan/{index}.png", index % 3) for index in range(12)]
    for index in range(12):
        save_picture(tmp_path / "pictures" / "scan" / f"{index}.png", index)
    write_records(path, records)
    guess = guess_file(path, tmp_path)
    assert guess is not None
    # A table with one column an option is no Med-MAT file, and the other way round.
    assert guess.format == name
    assert guess.image_root == tmp_path / "pictures"
    assert (guess.num_read, guess.num_closed, guess.num_found) == (12, 12, 12)
    assert guess.surety == "sure"


def test_a_draft_loads_once_its_empty_fields_are_filled_in(tmp_path: Path) -> None:
    records = [mat_record(index, f"{index}.png", index % 3) for index in range(12)]
    for index in range(11):
        save_picture(tmp_path / "img" / f"{index}.png", index)
    write_json(tmp_path / "CT lung" / "train.json", records[:10])
    write_json(tmp_path / "CT lung" / "test.json", records[10:])
    (tmp_path / "notes.json").write_text('{"about": "this"}')
    draft = draft_catalog(tmp_path)
    assert [path.name for path in draft.unread] == ["notes.json"]
    assert sorted(guess.surety for guess in draft.guesses) == ["doubtful", "sure"]
    path = tmp_path / "catalog.yaml"
    path.write_text(draft.text)
    with pytest.raises(SpecError, match=r"catalog.yaml:\d+:\d+: subsets.0.task"):
        load_catalog(path)
    path.write_text(draft.text.replace("task:  # fill in", "task: Staging"))
    (subset,) = load_catalog(path).spec.subsets
    assert (subset.modality, subset.area, subset.task, subset.format) == ("CT", "Lung", "Staging", "med_mat")
    assert (subset.pool, subset.test) == (("CT lung/train.json",), ("CT lung/test.json",))
    assert load_catalog(path).image_root(subset.name) == tmp_path / "img"


def test_what_cannot_be_drafted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        draft_catalog(tmp_path / "none")
    with pytest.raises(UserError, match="holds no data file"):
        draft_catalog(tmp_path)
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="no file in"):
        draft_catalog(tmp_path)
