"""The base must not know the corpus: no rule, no row of it."""

import hashlib
from collections import Counter
from itertools import product

import pytest

from datasets_spec.phantom.questions import OPTION_WORDS, all_keys, make_sample
from datasets_spec.phantom.world import (
    AREAS,
    CRITERION_OF_TASK,
    MODALITIES,
    PATTERN_OF_MODALITY,
    REGION_OF_AREA,
    TASKS,
)
from trainers.phantom.curriculum import MIX, Item, make_dense_scenes, make_items
from trainers.phantom.words import CRITERION_WORDS, ELEMENT_WORDS, PATTERN_WORDS, REGION_WORDS

GENERIC = tuple(OPTION_WORDS)
ITEMS = make_items(0, "test", 6_000, sorts=GENERIC)
CONCEPT_OF = {
    word: concept
    for words in (REGION_WORDS, PATTERN_WORDS, CRITERION_WORDS)
    for concept, synonyms in words.items()
    for word in synonyms
}
RULE_OF = {**REGION_OF_AREA, **PATTERN_OF_MODALITY, **CRITERION_OF_TASK}
NUM_CONCEPTS = {"area": 6, "modality": 3, "task": 4}


def words_of(question: str) -> list[str]:
    return question.replace("?", " ").split()


def spelled_concepts(item: Item) -> tuple[str, ...]:
    """Region, pattern and criterion of a generic question, from the words that spell them out."""
    assert item.spelled is not None
    return tuple(CONCEPT_OF[w] for w in words_of(item.spelled) if w in CONCEPT_OF)


def replaced(item: Item) -> list[tuple[str, str]]:
    """Element words shown, each with the concept it stands in for."""
    assert item.spelled is not None
    pairs = zip(words_of(item.question), words_of(item.spelled), strict=True)
    return [(shown, CONCEPT_OF[spelled]) for shown, spelled in pairs if shown != spelled]


def test_elements_are_no_rule_words() -> None:
    assert not ELEMENT_WORDS & set(CONCEPT_OF)
    assert len(CONCEPT_OF) == 3 * (6 + 3 + 4)


@pytest.mark.parametrize("slot", ["area", "modality", "task"])
def test_an_element_word_stands_for_every_concept_alike(slot: str) -> None:
    """Where an element's name is shown, the truth behind it is its own rule no more often than by chance."""
    elements = {"area": AREAS, "modality": MODALITIES, "task": TASKS}[slot]
    pairs = [pair for item in ITEMS for pair in replaced(item) if pair[0] in elements]
    assert len(pairs) > 1_500
    share = sum(RULE_OF[shown] == concept for shown, concept in pairs) / len(pairs)
    assert abs(share - 1 / NUM_CONCEPTS[slot]) < 0.04
    assert set(pairs) >= set(product(elements, {concept for _, concept in pairs}))


def test_rules_are_independent_of_looks() -> None:
    """The asked region and pattern must not follow the image's area and modality, or the base would learn the rules."""
    agree: Counter[str] = Counter()
    seen = 0
    for item in ITEMS:
        scene = item.scenes[0]
        if scene.modality == "photo":
            continue
        region, pattern, _ = spelled_concepts(item)
        seen += 1
        agree["area"] += region == REGION_OF_AREA[scene.shape]
        agree["modality"] += pattern == PATTERN_OF_MODALITY[scene.modality]
    assert abs(agree["area"] / seen - 1 / 6) < 0.03
    assert abs(agree["modality"] / seen - 1 / 3) < 0.03


def test_named_elements_are_independent_of_looks_in_questions() -> None:
    """Beside naming questions, a shown 'mri' says nothing about the picture either."""
    agree, seen = 0, 0
    for item in ITEMS:
        for shown in set(words_of(item.question)) & set(MODALITIES):
            if item.scenes[0].modality != "photo":
                seen += 1
                agree += shown == item.scenes[0].modality
    assert abs(agree / seen - 1 / 6) < 0.04


def test_no_image_of_the_corpus_is_trained_on() -> None:
    """Neither a target's nor a source's: rows of every split of every target and source, against the base's images."""
    scenes = [s for item in (*ITEMS, *make_items(0, "train", 2_000)) for s in item.scenes]
    scenes += make_dense_scenes(0, 500)
    known = {hashlib.sha256(scene.pixels.tobytes()).digest() for scene in scenes}
    assert len(known) > 10_000
    corpus = {
        hashlib.sha256(image.tobytes()).digest()
        for key in all_keys()[::5]
        for split in ("train", "test", "evidence")
        for index in range(6)
        for image in make_sample(key, seed=0, split=split, index=index).images
    }
    assert len(corpus) > 4_000
    assert not known & corpus


def test_gold_answers_match_the_scenes() -> None:
    for item in ITEMS[:1_500]:
        assert item.asked_cells is not None
        assert item.findings is not None
        criterion = spelled_concepts(item)[2]
        for scene, cells, finding in zip(item.scenes, item.asked_cells, item.findings, strict=True):
            assert (finding == 0) == (not cells)
            if finding:
                (blob,) = [b for b in scene.blobs if b.cell in cells]
                assert blob.meets(criterion) == (finding % 2 == 0)  # type: ignore[arg-type]
        if item.sort in ("none", "reasoning"):
            met = [finding % 2 == 0 for finding in item.findings]
            assert (item.answer == "yes") == (sum(met) > len(met) / 2)


def test_blends_keep_little_of_the_known_word() -> None:
    for item in ITEMS:
        assert len(item.blends) == len(replaced(item))
        assert all(0.0 <= blend <= 0.4 for blend in item.blends)
    share = sum(bool(item.blends) for item in ITEMS) / len(ITEMS)
    assert 0.6 < share < 0.72  # 1 - 0.7 ** 3


def test_items_are_prefix_stable_and_of_every_sort() -> None:
    few, more = make_items(4, "prefix", 3), make_items(4, "prefix", 6)
    assert [(i.question, i.options) for i in few] == [(i.question, i.options) for i in more[:3]]
    assert {item.sort for item in make_items(4, "sorts", 400)} == set(MIX)
