from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.errors import SpecError, UserError
from datasets_spec.splits.shares import SplitShares
from tests.makers.corpus import subset_lines, write_catalog


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_shares_are_accepted_exactly_when_they_are_a_whole(shares: tuple[float, ...]) -> None:
    names = dict(zip(("train", "search", "confirm", "sealed"), shares, strict=True))
    if abs(sum(shares) - 1) < 1e-12:
        assert SplitShares(**names).as_tuple() == shares
    elif abs(sum(shares) - 1) > 1e-6:
        with pytest.raises(ValidationError):
            SplitShares(**names)


def test_paths_start_from_the_catalog_file_and_subsets_override(tmp_path: Path) -> None:
    catalog = write_catalog(
        tmp_path,
        [
            subset_lines("a", pool=["a.json"]),
            subset_lines(
                "b",
                pool=["b.json"],
                image_root="elsewhere",
                shares={"train": 1.0, "search": 0.0, "confirm": 0.0, "sealed": 0.0},
            ),
        ],
    )
    assert catalog.names == ("a", "b")
    assert catalog.image_root("a") == tmp_path / "images"
    assert catalog.image_root("b") == tmp_path / "elsewhere"
    assert catalog.shares("a").train == 0.6
    assert catalog.shares("b").train == 1.0
    assert str(catalog.subset("a").key) == "CT/Lung/a"
    assert catalog.subset("a").namespace == "a"


def test_an_unknown_subset_names_the_nearest(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, [subset_lines("ct-lung", pool=["a.json"])])
    with pytest.raises(UserError, match="Did you mean 'ct-lung'"):
        catalog.subset("ct-lugn")


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ([subset_lines("a")], "needs files"),
        ([subset_lines("a", pool=["x/f.json", "y/f.json"])], "have the same name"),
        ([subset_lines("a", pool=["f.json"], test=["f.json"])], "have the same name"),
        ([subset_lines("a", pool=["f.json"]), subset_lines("a", pool=["g.json"])], "two subsets"),
        ([subset_lines("a", pool=["f.json"], group_pattern="(")], "not a regular expression"),
        ([subset_lines("a", pool=["f.json"], group_pattern="p[0-9]+")], "exactly one group"),
        ([subset_lines("a", pool=["f.json"], released=False)], "cannot be 'released: false'"),
        ([subset_lines("a", pool=["f.json"]) | {"format": None}], "needs a format"),
        ([subset_lines("a", pool=["f.json"], sources=["7"])], "not among the sources"),
        ([subset_lines("../a", pool=["f.json"])], "must match the pattern"),
        ([subset_lines("A", pool=["f.json"])], "must match the pattern"),
        ([subset_lines("a", pool=["f.json"]) | {"format": "med_mit"}], "Did you mean"),
        ([], "needs at least 1"),
    ],
)
def test_wrong_catalogs_are_refused(tmp_path: Path, subsets: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        write_catalog(tmp_path, subsets)


def test_an_unknown_catalog_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'med_mat'"):
        load_catalog("med-mat")


def test_the_role_and_the_sampling_decide_the_shares(tmp_path: Path) -> None:
    subsets = [subset_lines(name, pool=[f"{name}.json"], role=role) for name, role in (("a", "id"), ("b", "ood"))]
    trains = {"sampling": {"ood": "train"}}
    catalog = write_catalog(tmp_path, [*subsets, subset_lines("c", pool=["c.json"], role="ood") | trains])
    assert [catalog.shares(name).train for name in "abc"] == [0.6, 0.6, 0.6]
    catalog = write_catalog(
        tmp_path, [*subsets, subset_lines("c", pool=["c.json"], role="ood") | trains], sampling={"ood": "test_only"}
    )
    assert [catalog.shares(name).train for name in "abc"] == [0.6, 0.0, 0.6]
    assert catalog.shares("b").search == pytest.approx(0.375)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_shares_without_train_keep_the_proportions_of_the_rest(a: float, b: float, c: float) -> None:
    total = a + b + c + 1
    shares = SplitShares(train=1 / total, search=a / total, confirm=b / total, sealed=c / total)
    rest = shares.without_train()
    assert rest.train == 0
    assert sum(rest.as_tuple()) == pytest.approx(1)
    assert rest.search * shares.confirm == pytest.approx(rest.confirm * shares.search)


def test_subsets_without_files_are_known_but_not_prepared(tmp_path: Path) -> None:
    catalog = write_catalog(
        tmp_path,
        [
            subset_lines("a", pool=["a.json"]),
            {"name": "b", "modality": "CT", "area": "Lung", "task": "b", "released": False},
        ],
    )
    assert catalog.names == ("a",)
    assert str(catalog.subset("b").key) == "CT/Lung/b"
