from __future__ import annotations

import pytest

from datasets_spec.check.blind_rules import blind_baselines


def test_blind_rules_on_questions_counted_by_hand() -> None:
    options = [["yes", "no"], ["long one", "b", "c"], ["a", "A ", "other"], []]
    blind = blind_baselines(options, [0, 2, 1, -1])
    assert (blind.num_closed, blind.num_open) == (3, 1)
    assert blind.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    # "a" and "A " are one option: both letters are right there, so A is right twice.
    assert blind.letter == "A"
    assert blind.constant_letter == pytest.approx(2 / 3)
    assert blind.longest_option == pytest.approx(1 / 3)
    assert blind.shortest_option == pytest.approx((1 / 2 + 1) / 3)


def test_without_closed_questions_there_is_nothing_to_guess() -> None:
    blind = blind_baselines([[], []], [-1, -1])
    assert (blind.num_closed, blind.num_open, blind.chance, blind.letter) == (0, 2, None, None)
