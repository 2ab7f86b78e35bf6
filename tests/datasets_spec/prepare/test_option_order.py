from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.prepare.option_order import option_order
from datasets_spec.sample import option_groups

OPTIONS = st.lists(st.text(max_size=5), min_size=2, max_size=6)


@given(OPTIONS, st.randoms(use_true_random=False))
def test_options_end_in_one_order_however_they_were_published(options: list[str], chance: random.Random) -> None:
    shuffled = chance.sample(options, len(options))
    first = [options[i] for i in option_order(3, "q", options, ["h"])]
    assert first == [shuffled[i] for i in option_order(3, "q", shuffled, ["h"])]
    assert sorted(first) == sorted(options)


def test_gold_options_are_spread_evenly_over_letters() -> None:
    # Published under A every time; the gold option plays no part in where it ends.
    options = ["yes", "no", "unclear"]
    places = Counter(option_order(0, f"question {i}", options, [str(i)]).index(0) for i in range(900))
    assert all(240 < places[i] < 360 for i in range(3))


def test_options_that_refer_to_each_other_stay_where_they_were() -> None:
    for last in ("Both A and B", "None of the above", "a or b"):
        assert option_order(0, "q", ["x", "y", last], []) == (0, 1, 2)
    assert any(option_order(0, f"q{i}", ["x", "y", "both eyes"], []) != (0, 1, 2) for i in range(9))


def test_option_groups_survive_ordering() -> None:
    options = ["cyst", "Cyst ", "stone"]
    order = option_order(0, "q", options, [])
    assert len(set(option_groups([options[i] for i in order]))) == 2
