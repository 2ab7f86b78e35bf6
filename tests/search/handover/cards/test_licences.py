"""Licences of sources together: what does not go together is said, and no subset is forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.catalog.catalog import NOT_STATED, load_catalog
from search.evidence.inputs.study_facts import _subset
from search.handover.cards.licences import combine

LICENCES = ["CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "ODbL", None]


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        ({"a": "CC-BY-4.0", "b": "CC0-1.0"}, []),
        ({"a": "CC-BY-SA-4.0", "b": "ODbL"}, ["CC-BY-SA-4.0, ODbL each ask"]),
        ({"a": "CC-BY-SA-4.0", "b": "CC-BY-NC-4.0"}, ["CC-BY-SA-4.0 must be passed on under the same terms, which b"]),
        ({"a": "CC-BY-NC-SA-4.0", "b": "CC-BY-NC-SA-4.0"}, []),
        ({"a": "CC-BY-ND-4.0"}, ["a: changed rows may not be passed on"]),
        ({"a": None, "b": "MIT"}, ["a: no licence is stated"]),
        ({"a": "PhysioNet Credentialed Health Data License"}, ["a: whoever gets the rows must have agreed"]),
    ],
)
def test_what_does_not_go_together_is_said(licences: dict[str, str | None], said: list[str]) -> None:
    conflicts = combine(licences).conflicts
    assert len(conflicts) == len(said)
    assert all(found.startswith(start) for found, start in zip(conflicts, said, strict=True))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(LICENCES), min_size=1))
def test_every_subset_stands_under_one_licence(licences: dict[str, str | None]) -> None:
    terms = combine(licences)
    assert sorted(name for names in terms.by_licence.values() for name in names) == sorted(licences)
    assert all(
        (licences[name] or NOT_STATED) == licence for licence, names in terms.by_licence.items() for name in names
    )


@pytest.mark.parametrize(
    "name",
    [
        "research use only",
        "For research purposes only",
        "Non Commercial",
        "CC_BY_NC_4.0",
        "cc by-nc 4.0",
        "Research_Only",
    ],
)
def test_forms_of_no_commercial_use_are_read(name: str) -> None:
    assert combine({"a": name}).non_commercial == ("a",)
    assert len(combine({"a": name, "b": "CC-BY-SA-4.0"}).conflicts) == 1


@pytest.mark.parametrize(
    "name", ["GPL-3.0", "GPLv3", "AGPL-3.0", "LGPL_2.1", "GNU General Public License", "CC BY SA 4.0"]
)
def test_forms_of_share_alike_are_read(name: str) -> None:
    assert combine({"a": name}).share_alike == ("a",)


def test_a_name_that_is_not_known_is_said() -> None:
    assert combine({"a": "Hospital Terms 3"}).conflicts == [
        "a: the licence 'Hospital Terms 3' is not recognised; read its terms."
    ]


def test_a_subset_stands_under_the_licences_of_its_sources() -> None:
    shipped = load_catalog("med_mim")
    by_source = {subset.name: subset.sources for subset in shipped.prepared}
    on_request = {name for name, sources in by_source.items() if {"embed", "ms-cxr-t"} & set(sources)}
    assert on_request
    study, store = SimpleNamespace(catalog=shipped), SimpleNamespace(manifest=SimpleNamespace(subsets={}))
    facts: Any = _subset
    terms = combine({name: facts(study, store, name).licence for name in by_source})
    assert set(terms.agreements) == on_request
    silent = {name for name, sources in by_source.items() if set(sources) - {"embed", "ms-cxr-t"} or not sources}
    assert set(terms.not_stated) == silent


def test_a_licence_of_several_sources_is_taken_apart() -> None:
    terms = combine({"a": "CC-BY-SA-4.0; CC-BY-NC-4.0", "b": "CC0-1.0; not stated"})
    assert terms.by_licence["CC-BY-NC-4.0"] == ("a",)
    assert terms.not_stated == ("b",)
    assert terms.conflicts[0].startswith("CC-BY-SA-4.0 must be passed on under the same terms, which a")


def test_a_name_that_only_holds_the_letters_is_not_taken_for_a_term() -> None:
    terms = combine({"a": "Anderson Sandbox Licence", "b": "Vanc-ND2 Fund"})
    assert terms.non_commercial == terms.no_derivatives == terms.share_alike == ()
