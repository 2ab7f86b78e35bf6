"""Classes as questions: readable, put in several ways, with options that give nothing away."""

from __future__ import annotations

import string
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.readers.class_questions import (
    MOST_OPTIONS,
    LabelledSubset,
    distinct_names,
    options_for,
    question_for,
    readable,
    wordings_of,
)
from datasets_spec.sample import option_text_key

CLASSES = st.sets(st.text(string.ascii_lowercase, min_size=1, max_size=6), min_size=2, max_size=40).map(sorted)
NUM_ROWS = 2_000
# Five standard errors of a share among NUM_ROWS rows, at the widest: the rows are fixed, so this never flickers.
FIVE_ERRORS = 5 * 0.5 / NUM_ROWS**0.5


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("diabetic_retinopathy", "diabetic retinopathy"),
        ("DiabeticRetinopathy", "Diabetic Retinopathy"),
        ("Cyst- (561)", "Cyst- (561)"),
        ("non-small-cell", "non-small-cell"),
        ("COVID19", "COVID19"),
        ("  two \n lines\t", "two lines"),
        ("e\u0301tat", "état"),
        ("right\u202eleft", "right left"),
        ("_", "_"),
        ("3", "3"),
    ],
)
def test_folders_become_words(label: str, name: str) -> None:
    assert readable(label) == name


def test_spellings_of_one_class_are_one_and_the_catalog_has_the_last_word() -> None:
    about = LabelledSubset(class_names={"0": "no retinopathy", "nrm": "normal", "extra": "mild"})
    names = distinct_names(["0", "Normal", "nrm", "normal"], about)
    assert sorted(names) == ["mild", "no retinopathy", "normal"]
    assert about.name_of(unicodedata.normalize("NFD", "0")) == "no retinopathy"


@given(CLASSES, st.text(), st.data())
def test_the_right_option_is_always_there_and_few_enough(classes: list[str], row: str, data: st.DataObject) -> None:
    row = row.encode("utf-8", "ignore").decode()
    gold = data.draw(st.sampled_from(classes))
    options = options_for(gold, classes, row)
    assert options == options_for(gold, classes, row)
    assert gold in options
    assert len(options) == len({option_text_key(option) for option in options}) == min(len(classes), MOST_OPTIONS)
    assert set(options) <= set(classes)


@pytest.mark.parametrize("num_classes", [2, 5, MOST_OPTIONS, 30])
def test_the_letter_says_nothing_of_the_class(num_classes: int) -> None:
    classes = [f"class {number:02d}" for number in range(num_classes)]
    places: dict[str, Counter[int]] = {}
    for number in range(NUM_ROWS):
        for gold in classes[:2]:
            options = options_for(gold, classes, f"{gold}/{number}.png")
            places.setdefault(gold, Counter())[options.index(gold)] += 1
    num_options = min(num_classes, MOST_OPTIONS)
    for counts in places.values():
        assert all(abs(counts[place] / NUM_ROWS - 1 / num_options) < FIVE_ERRORS for place in range(num_options))


def test_beyond_the_right_one_options_are_drawn_evenly() -> None:
    classes = [f"class {number:02d}" for number in range(30)]
    drawn = Counter(option for n in range(NUM_ROWS) for option in options_for(classes[0], classes, f"a/{n}.png"))
    assert drawn.pop(classes[0]) == NUM_ROWS
    assert all(abs(drawn[name] / NUM_ROWS - (MOST_OPTIONS - 1) / 29) < FIVE_ERRORS for name in classes[1:])


@pytest.mark.parametrize(
    ("modality", "area", "task", "picture"),
    [
        ("CT", "Lung", "COVID-19 Classification", "lung CT scan"),
        ("FP", "Fundus", "Blindness Level", " fundus photograph"),
        ("Der", "Skin", "Melanoma Type Classification", "dermoscopic image"),
        ("X-ray", "Bones", "Fractured Classification", "bone X-ray image"),
        ("OCT", "Retina", "Retina Diseases Classification", "OCT scan"),
        ("PET", "Heart", "Anything", "heart PET image"),
    ],
)
def test_questions_name_the_picture_in_words(modality: str, area: str, task: str, picture: str) -> None:
    about = LabelledSubset(modality=modality, area=area, task=task)
    asked = {question_for(about, f"{number}.png") for number in range(100)}
    assert len(asked) == len(wordings_of(task)) == 6
    assert sum(picture in question for question in asked) >= 5
    assert not any("{" in question or "  " in question for question in asked)


def test_wordings_go_by_the_task() -> None:
    tasks = [
        "Blindness Level",
        "Cell Type Classification",
        "Melanoma Type",
        "Retinal Images Quality",
        "disease_state",
        "?",
    ]
    assert len({wordings_of(task) for task in tasks}) == len(tasks)
    # What the picture is may be what is asked for.
    assert not any("{picture}" in wording for wording in wordings_of("organ recognition"))


def test_every_wording_comes_up_for_every_class() -> None:
    about = LabelledSubset(modality="CT", area="Lung", task="Disease")
    for gold in ("a", "b"):
        asked = Counter(question_for(about, f"{gold}/{number}.png") for number in range(NUM_ROWS))
        assert all(abs(count / NUM_ROWS - 1 / 6) < FIVE_ERRORS for count in asked.values())
