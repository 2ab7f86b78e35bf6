"""Published test sets that a catalog divides: allowed, because some targets have nothing else, and always said."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_spec.catalog.catalog import Catalog


def divided_tests(catalog: Catalog, names: Iterable[str]) -> dict[str, str]:
    """Returns what to say of the subsets whose published test rows are divided by their shares.

    Args:
        catalog: The catalog.
        names: Subsets to look at.

    Returns:
        A sentence without the subset's name, by subset; none for a subset whose test rows are all ``sealed``.
    """
    found = {}
    for name in names:
        if catalog.subset(name).divides_test:
            shares = catalog.shares(name)
            found[name] = (
                f"its published test rows are divided ({shares.search:.0%} guide the search, {shares.confirm:.0%} "
                f"compare the finalists, {shares.sealed:.0%} stay sealed), so no figure on them is one of the "
                "published test set"
            )
    return found


def divided_tests_line(catalog: Catalog, names: Iterable[str]) -> str | None:
    """Returns what plan, run and report say of divided test sets, in one sentence; None where there is none.

    Args:
        catalog: The catalog.
        names: Subsets to look at.
    """
    return "; ".join(f"{name}: {told}" for name, told in divided_tests(catalog, names).items()) or None
