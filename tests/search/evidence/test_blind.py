"""What is reached without the image: the best rule for each kind of question, weighted by how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from search.evidence.blind import no_image_share, no_image_shares

CLOSED: dict[str, Any] = {
    "num_closed": 30, "num_open": 0, "num_box": 0, "chance": 0.5, "constant_letter": 0.6, "longest_option": 0.55,
    "shortest_option": 0.45, "words": {"accuracy": 0.7}, "constant": {},
}  # fmt: skip


def test_of_closed_questions_the_best_rule_counts() -> None:
    assert no_image_share(CLOSED) == (0.7, "words alone")
    assert no_image_share(CLOSED | {"words": None}) == (0.6, "constant letter")


def test_kinds_are_weighted_by_their_questions() -> None:
    mixed = CLOSED | {"num_open": 10, "constant": {"open": 0.1}}
    found = no_image_share(mixed)
    assert found is not None
    assert found[0] == pytest.approx((30 * 0.7 + 10 * 0.1) / 40)
    assert found[1] == "words alone and one answer to all"


def test_sets_without_a_rule_are_left_out() -> None:
    empty = {"num_closed": 0, "num_open": 5, "num_box": 0, "constant": {}}
    assert no_image_share(empty) is None
    assert no_image_shares({"a": CLOSED, "b": empty}) == {"a": 0.7}
