from __future__ import annotations

from search.seeds import derived_rng, derived_seed


def test_derived_seeds_depend_on_every_label() -> None:
    seeds = {derived_seed(s, *labels) for s in (0, 1) for labels in (("a",), ("b",), ("a", 0), ("a", 1))}
    assert len(seeds) == 8
    assert derived_rng(3, "x").random() == derived_rng(3, "x").random()
    assert derived_seed(0, "a") == 845039730  # and on nothing else: the same on every machine
