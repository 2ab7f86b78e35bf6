"""Pairs of patients are no patients of their own, and the command shows what taking them for some would claim."""

from __future__ import annotations

from search.bench.honesty.compared_patients import run_compared


def test_intervals_over_pairs_hold_only_where_pairs_are_joined() -> None:
    figures = {f.figure: f for f in run_compared(60, seed=0, on_event=lambda line: None)}
    all_with_all, fives = "all with all, 20 patients: ", "within fives, 60 patients: "
    assert figures[f"{all_with_all}95 % interval of a check holds"].value == 1  # one cluster, which tells nothing
    assert figures[f"{fives}95 % interval of a check holds"].value >= 0.88
    assert figures[f"{fives}that of a study"].value >= 0.88
    for of in ("of a check", "of a study"):
        assert figures[f"{all_with_all}{of}, each pair a patient"].value < 0.7
        assert figures[f"{fives}{of}, each pair a patient"].is_reached is None
