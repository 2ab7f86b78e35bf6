from collections import Counter

from datasets_spec.phantom.questions import TEMPLATES
from datasets_spec.phantom.world import AREAS, LESION_IS_BRIGHT, MODALITIES, REGION_OF_AREA, REGIONS
from trainers.phantom_curriculum import MIX, make_items
from trainers.phantom_words import GENERIC_OPTIONS, POLARITY_WORDS

GENERIC = ("presence", "size", "kind", "ordinal", "change")
ITEMS = make_items(0, "test", 1_600, sorts=GENERIC)


def test_no_question_names_an_element_beside_a_rule() -> None:
    """The base must not read 'mri' where 'dark' stands, nor 'brain' where 'upper' stands."""
    for item in (*ITEMS, *make_items(0, "all", 400, sorts=tuple(MIX))):
        words = set(item.question.replace("?", " ").split())
        if words & {*POLARITY_WORDS, *REGIONS}:
            shown = words | set(item.options)
            if item.sort != "copy":
                assert not shown & {*MODALITIES, *AREAS}
        assert "lesion" not in words or item.sort == "copy"


def test_rules_are_independent_of_looks() -> None:
    """Asked polarity and region must not follow the image's modality and area, or the base would learn the rules."""
    agree: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for item in ITEMS:
        scene = item.scenes[0]
        if scene.modality == "photo":
            continue
        words = item.question.split()
        seen["polarity"] += 1
        agree["polarity"] += ("bright" in words) == LESION_IS_BRIGHT[scene.modality]
        seen["region"] += 1
        agree["region"] += words[2] == REGION_OF_AREA[scene.shape]
    assert abs(agree["polarity"] / seen["polarity"] - 1 / 2) < 0.06
    assert abs(agree["region"] / seen["region"] - 1 / len(REGIONS)) < 0.05


def test_no_target_question_is_trained_on() -> None:
    openings = {template.split("{modality}")[-1] for template in TEMPLATES.values()}
    for item in (*ITEMS, *make_items(0, "all", 400, sorts=tuple(MIX))):
        if item.sort != "copy":  # copying the word "lesion" asks nothing about one
            assert not any(item.question.endswith(opening) for opening in openings)


def test_gold_answers_match_the_scenes() -> None:
    for item in ITEMS:
        assert item.asked_cells is not None
        counts = [len(cells) for cells in item.asked_cells]
        if item.sort == "presence":
            assert (item.answer == "yes") == (counts[0] > 0)
        elif item.sort == "change":
            assert item.answer == {(0, 1): "worse", (1, 0): "better"}.get(
                (min(counts[0], 1), min(counts[1], 1)), "stable"
            )
        elif item.sort in ("size", "kind"):
            (cell,) = item.asked_cells[0]
            blob = next(b for b in item.scenes[0].blobs if b.cell == cell)
            value = int(blob.large) if item.sort == "size" else blob.kind
            assert item.answer == GENERIC_OPTIONS[item.sort][value]


def test_items_are_prefix_stable() -> None:
    few, more = make_items(4, "prefix", 3), make_items(4, "prefix", 6)
    assert [(i.question, i.options) for i in few] == [(i.question, i.options) for i in more[:3]]
