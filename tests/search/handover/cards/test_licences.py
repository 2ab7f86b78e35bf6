"""Licences of sources together: what does not go together is said, and no subset is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.handover.cards.licences import NOT_STATED, combine

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


def test_a_name_that_only_holds_the_letters_is_not_taken_for_a_term() -> None:
    terms = combine({"a": "Anderson Sandbox Licence", "b": "Vanc-ND2 Fund"})
    assert terms.non_commercial == terms.no_derivatives == terms.share_alike == ()
