from importlib import resources

import pytest
import yaml

from datasets_spec.phantom.flaws import FLAWS
from datasets_spec.phantom.questions import ABILITIES, all_keys
from datasets_spec.phantom.world import AREAS, MODALITIES, TASKS
from search.bench.phantom.arms import ARMS, NUM_SOURCES, arms_of, triplet_of

PLAN = yaml.safe_load((resources.files("search.bench.phantom") / "evidence.yaml").read_text(encoding="utf-8"))
NAMES = {key.name for key in all_keys()}
ELEMENTS = ("modality", "area", "task")


def shared(a: str, b: str) -> set[str]:
    first, second = triplet_of(a), triplet_of(b)
    return {element for element in ELEMENTS if getattr(first, element) == getattr(second, element)}


@pytest.mark.parametrize("target", PLAN["targets"])
@pytest.mark.parametrize("seed", range(3))
def test_arms_differ_in_the_named_element_only(target: str, seed: int) -> None:
    arms = arms_of(target, seed)
    assert tuple(arms) == ARMS
    related = arms["related"]
    assert [len(shared(source, target)) for source in related] == [2] * NUM_SOURCES
    for element in ELEMENTS:
        without = arms[f"without_{element}"]
        assert all(element not in shared(source, target) for source in without)
        for source, before in zip(without, related, strict=True):
            kept = {e for e in ELEMENTS if getattr(triplet_of(source), e) == getattr(triplet_of(before), e)}
            assert kept >= set(ELEMENTS) - {element}
        assert [shared(s, target) for s in without] == [shared(s, target) - {element} for s in related]
    assert all(not shared(source, target) for source in arms["control"])


@pytest.mark.parametrize("target", PLAN["targets"])
def test_arms_are_matched_and_clean(target: str) -> None:
    arms = arms_of(target, 0)
    for arm, sources in arms.items():
        assert len(set(sources)) == len(sources) == (1 if arm == "single" else NUM_SOURCES)
        assert target not in sources  # the target's own triplet is never trained on
        assert not set(sources) & set(FLAWS)
        assert set(sources) <= NAMES
        assert all(source.count("-") == 2 for source in sources)  # no ability
    pairs = [frozenset(shared(arms_of(target, seed)["single"][0], target)) for seed in range(3)]
    assert len(set(pairs)) == 3  # another pair of elements with each seed
    assert arms_of(target, 0) == arms != arms_of(target, 1)
    assert arms_of(f"{target}-temporal", 0) == arms  # of an ability only the triplet matters


def test_the_fixed_targets_cover_the_world_and_are_not_those_tried_before() -> None:
    triplets = [triplet_of(name) for name in PLAN["targets"]]
    assert len(set(triplets)) == len(triplets) >= 8
    assert {t.modality for t in triplets} == set(MODALITIES)
    assert {t.area for t in triplets} == set(AREAS)
    assert {t.task for t in triplets} == set(TASKS)
    assert set(PLAN["abilities"]) == set(ABILITIES)
    assert not set(PLAN["tried"]) & {*PLAN["targets"], *PLAN["table"]["targets"]}
    assert not set(FLAWS) & {*PLAN["targets"], *PLAN["table"]["targets"]}


def test_the_table_is_two_half_fractions() -> None:
    sources, targets = PLAN["table"]["sources"], PLAN["table"]["targets"]
    assert (len(sources), len(targets)) == (8, 12)
    assert set(sources) | set(targets) <= NAMES
    assert not set(sources) & set(targets)
    for target in targets:
        overlaps = sorted(len(shared(source, target)) for source in sources)
        # A single-image target shares two elements with three sources and none with five.
        assert overlaps == [0, 0, 0, 0, 0, 2, 2, 2]
    assert sorted(FLAWS[name].kind for name in sources if name in FLAWS) == ["harmful", "noisy"]
