import hashlib
import json
from pathlib import Path

import pytest
import yaml

from datasets_spec.errors import UserError
from datasets_spec.phantom.write import list_subsets, write_phantom

SUBSETS = ("xray-lung-staging", "mri-bone-staging-temporal")


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_writing_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_phantom(tmp_path / folder, subsets=SUBSETS, num_pool=6, num_test=3)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    write_phantom(tmp_path / "c", subsets=SUBSETS, num_pool=6, num_test=3, seed=1)
    assert hashes(tmp_path / "a") != hashes(tmp_path / "c")


def test_a_larger_pool_only_adds_rows_and_other_subsets_do_not_matter(tmp_path: Path) -> None:
    write_phantom(tmp_path / "small", subsets=SUBSETS[:1], num_pool=4, num_test=2)
    write_phantom(tmp_path / "large", subsets=SUBSETS, num_pool=7, num_test=2)
    file = "subsets/Subset--09-train.json"
    small, large = (json.loads((tmp_path / f / file).read_text()) for f in ("small", "large"))
    assert large[:4] == small
    images = {k: v for k, v in hashes(tmp_path / "small").items() if k.endswith(".png")}
    assert images.items() <= hashes(tmp_path / "large").items()


def test_single_image_files_are_med_mat_records(tmp_path: Path) -> None:
    catalog = yaml.safe_load(write_phantom(tmp_path, subsets=SUBSETS, num_pool=4, num_test=2).read_text())
    entry = catalog["subsets"][0]
    records = json.loads((tmp_path / entry["pool"][0]).read_text())
    assert [list(r) for r in records] == [
        ["id", "caption", "image", "Question", "Answer", "Question-choice", "Answer-choice", "data-no"]
    ] * 4
    for record in records:
        lines = record["Question-choice"].split("\n")
        assert lines[0] == record["Question"]
        assert f"{record['Answer-choice']}: {record['Answer']}" in lines[1:-1]
        assert (tmp_path / catalog["image_root"] / record["image"]).is_file()


def test_ability_files_are_med_mim_records(tmp_path: Path) -> None:
    catalog = yaml.safe_load(write_phantom(tmp_path, subsets=SUBSETS, num_pool=4, num_test=2).read_text())
    entry = catalog["subsets"][1]
    assert (entry["ability"], entry["format"]) == ("temporal", "med_mim")
    for record in json.loads((tmp_path / entry["test"][0]).read_text()):
        assert list(record) == ["id", "images", "conversation", "source"]
        user, assistant = record["conversation"]
        assert user["content"].startswith("<image><image>")
        assert user["content"].count("<image>") == len(record["images"]) == 2
        assert f"\n{assistant['content']}\n" in user["content"]
        assert all((tmp_path / image).is_file() for image in record["images"])


def test_unknown_subset_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="xray-lung-staging"):
        write_phantom(tmp_path, subsets=["xray-lungs-staging"])
    with pytest.raises(UserError, match="at least 1"):
        write_phantom(tmp_path, subsets=SUBSETS, num_pool=0)


def test_every_listed_subset_can_be_written(tmp_path: Path) -> None:
    path = write_phantom(tmp_path, num_pool=1, num_test=1)
    names = [entry["name"] for entry in yaml.safe_load(path.read_text())["subsets"]]
    assert tuple(names) == list_subsets()
    entries = yaml.safe_load(path.read_text())["subsets"]
    files = [file for entry in entries for file in (*entry["pool"], *entry["test"])]
    assert len(set(files)) == len(files) == len(list((tmp_path / "subsets").iterdir()))  # none overwrites another


def test_the_catalog_loads(tmp_path: Path) -> None:
    from datasets_spec.catalog.catalog import load_catalog

    catalog = load_catalog(write_phantom(tmp_path, subsets=SUBSETS, num_pool=1, num_test=1))
    key = catalog.subset(SUBSETS[1]).key
    assert (key.modality, key.area, key.task, key.ability) == ("mri", "bone", "staging", "temporal")
