"""What the survey does with blocks that do not follow each other, rows staged twice, and nothing at all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from datasets_spec.errors import StoreError
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.staged_rows import staged_table, write_staged
from datasets_spec.prepare.survey import Survey, survey_staging
from datasets_spec.prepare.surveying.seen_images import seen_images
from datasets_spec.splits.row_table import RowTable
from tests.makers.rows import group_of, hash_of

SOURCE = SubsetSource(
    format="med_mat", image_root="/images", answer_kind="any", source_pattern=None, group_pattern=None, namespace="n"
)
PLACE = {"subset": "a", "role": "pool", "file": "x.json"}
FILE = DataFile(**PLACE, path=Path("x.json"))


def staged_row(index: int) -> dict[str, Any]:
    images = [f"{number}.png" for number in range(index, index + 1 + index % 3)]
    row = {**PLACE, "index": index, "image_paths": images}
    if index == 4:
        return {**row, "reason": "missing_image", "detail": "image 1"}
    return {
        **row,
        "label": "xyz"[index % 3],
        "flags": ["skipped_letter"] * (index % 2),
        "groups": [group_of(str(index))] * (index % 2),
        "image_hashes": list(map(hash_of, images)),
        "image_bytes_hashes": list(map(hash_of, images)),
        "content_hash": hash_of(f"c{index}"),
        "row_hash": hash_of(f"r{index}"),
        **{name: hash_of(f"{name}{index}") for name in ("question_key", "options_key", "answer_key")},
    }


def surveyed(folder: Path, blocks: Sequence[Sequence[int]]) -> Survey:
    folder.mkdir()
    for number, indexes in enumerate(blocks):
        write_staged(staged_table([staged_row(index) for index in indexes]), folder, str(number))
    count = {**PLACE, "index": -1, "num_read": len({*itertools.chain(*blocks)})}
    write_staged(staged_table([count]), folder, "count")
    return survey_staging(folder, [FILE], {"a": SOURCE, "b": SOURCE})


def columns(table: RowTable) -> dict[str, Any]:
    """What a table says of its rows, whatever its codes are."""
    return {
        "index": table.index.tolist(),
        "content": table.content.tolist(),
        "question": table.question.tolist(),
        "label": [table.labels[code] for code in table.label],
        "flags": [table.flag_sets[code] for code in table.flags],
        **{
            name: [lists.names[lists.codes[start:end]].tolist() for start, end in itertools.pairwise(lists.starts)]
            for name, lists in (("images", table.images), ("files", table.files), ("groups", table.groups))
        },
    }


def test_rows_in_disorder_become_the_same_table(tmp_path: Path) -> None:
    ordered = surveyed(tmp_path / "ordered", [range(5), range(5, 9)])
    mixed = surveyed(tmp_path / "mixed", [[3, 0, 8], [7, 1], [6, 4, 5], [2]])
    assert ordered.rows.index.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert columns(mixed.rows) == columns(ordered.rows)
    assert mixed.aside.table().equals(ordered.aside.table())
    assert mixed.tallies == ordered.tallies
    assert mixed.tallies["a"].missing == ["x.json row 4"]
    # Every row still lies where it was staged.
    assert len({(block, offset) for block, offset in zip(mixed.rows.block, mixed.rows.offset, strict=True)}) == 8
    assert [mixed.rows.blocks[code] for code in mixed.rows.block] == ["0", "1", "3", "0", "2", "2", "1", "0"]


def test_a_row_that_is_staged_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a row was staged twice"):
        surveyed(tmp_path / "twice", [range(5), range(4, 9)])


def test_nothing_staged_is_an_empty_survey(tmp_path: Path) -> None:
    survey = survey_staging(tmp_path, [], {"a": SOURCE})
    assert (len(survey.rows), len(survey.aside), len(survey.images), survey.num_read.total()) == (0, 0, 0, 0)
    assert survey.aside.table().num_rows == 0


def test_images_are_found_by_their_hashes_and_no_others(tmp_path: Path) -> None:
    table = surveyed(tmp_path / "staging", [range(9)]).rows
    rows = [
        {
            "pixel_hash": hash_of(f"{number}.png"),
            "looks": [number] * 14,
            "root": "/images",
            "published": f"{number}.png",
        }
        for number in reversed(range(20))
    ]
    images = seen_images(pa.Table.from_pylist(rows), table.images.names)
    assert set(images) == {hash_of(f"{number}.png") for number in range(11)}
    seen = images[hash_of("3.png")]
    assert (seen.root, seen.published, list(seen.numbers)) == ("/images", "3.png", [3] * 14)
    for name in (hash_of("absent"), "3.png", "ab", ""):
        assert name not in images


def test_a_row_takes_few_bytes(tmp_path: Path) -> None:
    """All columns but the names of images and files, by their types: text in one would show."""
    table = surveyed(tmp_path / "staging", [range(9)]).rows
    arrays = [getattr(table, name) for name in ("place", "index", "content", "row_hash", "label", "flags")]
    arrays += [table.question, table.answer, table.block, table.offset, table.images.starts, table.files.starts]
    assert sum(array.nbytes for array in arrays) / len(table) < 132
    assert all(array.dtype != np.dtype(object) for array in arrays)
