"""A folder of classes as an input: found, fingerprinted by its names, and for no other format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import ReaderError, SpecError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.inputs import inputs_fingerprint, require_inputs, subset_sources
from tests.makers.corpus import save_picture, subset_lines, write_catalog


def folder_catalog(root: Path, **fields: Any) -> Catalog:
    for number in range(4):
        save_picture(root / "images" / "train" / "ab"[number % 2] / f"{number}.png", number)
    lines = {"format": "image_folder", "pool": ["images/train"], **fields}
    return write_catalog(root, [subset_lines("eyes", **lines)])


def fingerprint(catalog: Catalog) -> str:
    return inputs_fingerprint(catalog, seed=0, limits=ImageLimits())


def test_a_new_image_or_name_is_a_reason_to_prepare_again(tmp_path: Path) -> None:
    catalog = folder_catalog(tmp_path)
    require_inputs(catalog)
    before = fingerprint(catalog)
    (tmp_path / "images" / "train" / "a" / "notes.txt").write_text("no image")
    assert fingerprint(catalog) == before
    assert fingerprint(folder_catalog(tmp_path, class_names={"a": "cyst"})) != before
    save_picture(tmp_path / "images" / "train" / "a" / "new.png", 9)
    assert fingerprint(catalog) != before


def test_questions_are_made_by_the_key_and_the_folders_of_the_subset(tmp_path: Path) -> None:
    catalog = folder_catalog(tmp_path, class_names={"a": "cyst"})
    about = subset_sources(catalog)["eyes"].labelled
    assert about is not None
    assert (about.modality, about.area, about.task, about.class_names) == ("CT", "Lung", "eyes", {"a": "cyst"})
    assert (about.image_root, about.files) == (tmp_path / "images", (tmp_path / "images" / "train",))


def test_a_folder_is_no_file_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="are not there"):
        require_inputs(folder_catalog(tmp_path, format="table"))
    with pytest.raises(SpecError, match="class_names are for the format image_folder"):
        folder_catalog(tmp_path, format="table", class_names={"a": "b"})
