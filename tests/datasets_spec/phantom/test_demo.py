from importlib import resources

import yaml

from datasets_spec.phantom.demo import DEMO_ABILITIES, DEMO_CONTROLS, DEMO_SOURCES, DEMO_TARGETS
from datasets_spec.phantom.flaws import FLAWS
from datasets_spec.phantom.questions import PhantomKey, all_keys

KEYS = {key.name: key for key in all_keys()}


def shared(a: str, b: str) -> set[str]:
    first, second = KEYS[a], KEYS[b]
    return {e for e in ("modality", "area", "task") if getattr(first, e) == getattr(second, e)}


def test_every_name_is_a_subset_of_its_kind() -> None:
    assert len(DEMO_SOURCES) == 8
    names = (*DEMO_SOURCES, *DEMO_TARGETS, *DEMO_ABILITIES, *DEMO_CONTROLS)
    assert len(set(names)) == len(names)
    abilities: dict[str, PhantomKey] = {name: KEYS[name] for name in names}
    assert all(abilities[name].ability == "none" for name in DEMO_TARGETS)
    assert all(abilities[name].ability == "comparison" for name in DEMO_ABILITIES)


def test_each_target_has_related_and_unrelated_sources() -> None:
    for target in DEMO_TARGETS:
        pairs = [frozenset(shared(source, target)) for source in DEMO_SOURCES]
        for pair in ({"modality", "area"}, {"modality", "task"}, {"area", "task"}):
            assert frozenset(pair) in pairs, (target, pair)
        assert frozenset() in pairs
    for target in DEMO_ABILITIES:
        assert sum(len(shared(source, target)) == 2 for source in DEMO_SOURCES) == 3


def test_the_sources_are_those_of_the_evidence_and_two_are_flawed() -> None:
    plan = yaml.safe_load((resources.files("search.bench.phantom") / "evidence.yaml").read_text(encoding="utf-8"))
    assert list(DEMO_SOURCES) == plan["table"]["sources"]
    assert {*DEMO_TARGETS, *DEMO_ABILITIES} <= set(plan["table"]["targets"])
    assert sum(name in FLAWS for name in DEMO_SOURCES) == 2
    assert not {*DEMO_TARGETS, *DEMO_ABILITIES, *DEMO_CONTROLS} & set(FLAWS)


def test_controls_share_nothing_with_any_target() -> None:
    for control in DEMO_CONTROLS:
        assert all(not shared(control, target) for target in (*DEMO_TARGETS, *DEMO_ABILITIES))
