"""Which questions stand or fall together."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from datasets_spec.store.clusters import few_clusters, row_clusters, set_clusters


def row(group: str | None, *images: str) -> dict[str, Any]:
    return {"group": group, "image_hashes": list(images)}


def together(rows: list[dict[str, Any]]) -> list[list[int]]:
    """Positions by cluster."""
    numbers = row_clusters(rows)
    return [[at for at, number in enumerate(numbers) if number == found] for found in dict.fromkeys(numbers)]


def alone(num: int) -> list[dict[str, Any]]:
    return [row(None, f"alone {number}") for number in range(num)]


def test_a_patient_or_an_image_is_a_cluster() -> None:
    assert together([row("p", "1"), row("q", "2"), row("p", "3"), row(None, "4")]) == [[0, 2], [1], [3]]
    assert together([row(None, "1"), row(None, "2"), row(None, "1"), row(None, "3")]) == [[0, 2], [1], [3]]
    assert row_clusters([]) == []


def test_who_compares_patients_joins_them() -> None:
    rows = [row("p+q", "1", "2"), row("q+r", "3", "4"), row("r", "5"), row("s", "6"), *alone(4)]
    assert together(rows)[:2] == [[0, 1, 2], [3]]


def test_who_compares_images_joins_them() -> None:
    rows = [row(None, "a", "x"), row(None, "b", "x"), row(None, "a", "c"), row(None, "b", "c"), *alone(6)]
    assert together(rows)[:2] == [[0, 1, 2, 3], [4]]


def test_an_image_that_names_its_patient_once_is_that_patients() -> None:
    assert together([row("p", "1"), row(None, "1"), row("p", "2"), *alone(4)])[0] == [0, 1, 2]


def test_clusters_that_count_as_one_or_two_are_one() -> None:
    pairs = [row(f"{one}+{two}", f"{one}{two}") for one, two in combinations("abcdefghij", 2)]
    assert together([*pairs, *alone(5)]) == [list(range(50))]
    assert together([row("p", "1"), row("p", "2"), row("q", "3"), row("q", "4")]) == [[0, 1, 2, 3]]
    assert len(together([row(name, f"{name}{number}") for name in "pqr" for number in range(9)])) == 3
    assert len(together(alone(2))) == 2


def patients(names: str, num_questions: int, where: str) -> list[dict[str, Any]]:
    return [row(name, f"{where} {name}{number}") for name in names for number in range(num_questions)]


def test_a_patient_and_an_image_have_one_number_in_all_sets() -> None:
    first, second, third = set_clusters(
        [patients("pqr", 2, "a"), patients("spq", 2, "b"), [row(None, "a p0"), *alone(3)]]
    )
    assert first[0] == second[2] == third[0]
    assert first[2] == second[4]
    assert len({*first, *second, *third}) == 7  # p, q, r, s and what stands alone


def test_sets_that_share_nothing_are_numbered_as_each_by_itself() -> None:
    sets = [patients("pqrs", 3, "a"), patients("tuvwx", 2, "b"), alone(4)]
    for rows, numbers in zip(sets, set_clusters(sets), strict=True):
        own = row_clusters(rows)
        assert [own.index(number) for number in own] == [numbers.index(number) for number in numbers]


def test_a_set_that_tells_nothing_takes_no_other_with_it() -> None:
    compared = [row(f"{one}+{two}", f"{one}{two}") for one, two in combinations("pqrstuvwxy", 2)]
    told, nothing, two = set_clusters([patients("pqrstuvwxy", 3, "a"), compared, patients("pq", 9, "b")])
    assert len(set(told)) == 10
    assert len(set(nothing)) == len(set(two)) == 1
    assert not {*told} & {*nothing} | {*nothing} & {*two} | {*told} & {*two}
    assert few_clusters(told) is None
    assert few_clusters(nothing) == 1


def test_sets_that_only_together_compare_nearly_all_tell_nothing() -> None:
    pairs = [[row(f"{n}+{n + 1}", f"{n}") for n in range(start, 12, 2)] for start in (0, 1)]
    assert [len(set(row_clusters(rows))) for rows in pairs] == [6, 6]
    assert [len(set(found)) for found in set_clusters(pairs)] == [1, 1]
