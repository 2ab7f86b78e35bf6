"""Keys guessed from names: Med-MAT's words, never surer than what was seen."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.catalog.draft_keys import ELEMENTS, guess_key


def values(path: str, *classes: str) -> tuple[str | None, ...]:
    found = guess_key(path, classes)
    return tuple(found[element].value if element in found else None for element in ELEMENTS)


@pytest.mark.parametrize(
    ("path", "classes", "key"),
    [
        ("chest_xray", ("NORMAL", "PNEUMONIA"), ("X-ray", "Lung", "COVID-19 and Pneumonia Classification")),
        ("Brain-Tumor-MRI/Training", ("glioma", "no_tumor"), ("MRI", "Brain", "Tumor Classification")),
        ("lung CT-scans", ("covid", "normal"), ("CT", "Lung", "COVID-19 Classification")),
        ("ChestXRay", (), ("X-ray", "Chest", None)),
        ("eyes", ("glaucoma", "normal"), ("FP", "Fundus", "Eye Diseases Classification")),
        ("moles", ("melanoma", "nevus"), ("Der", "Skin", "Skin Diseases Classification")),
        ("wbc", ("EOSINOPHIL", "LYMPHOCYTE"), ("Mic", "Cell", "Cell Type Classification")),
        ("aptos", ("0", "1", "2"), ("FP", "Fundus", "Level Identification")),
        ("various", ("virus", "octopus"), (None, None, None)),
    ],
)
def test_names_say_modality_area_and_task(path: str, classes: tuple[str, ...], key: tuple[str | None, ...]) -> None:
    assert values(path, *classes) == key


def test_a_data_set_of_med_mat_has_the_key_of_its_subset() -> None:
    found = guess_key("downloads/aptos2019-blindness-detection/train.csv")
    assert [found[element].value for element in ELEMENTS] == ["FP", "Fundus", "Blindness Level"]
    assert all(guess.surety == "likely" and "16-fp-fundus" in guess.why for guess in found.values())


def test_what_is_concluded_or_contradicted_is_doubtful() -> None:
    assert guess_key("brain mri")["modality"].surety == "likely"
    assert guess_key("brain tumor")["task"].surety == "doubtful"
    assert guess_key("chest xray")["area"].value == "Chest"
    both = guess_key("ct and mri")["modality"]
    assert (both.surety, both.why) == ("doubtful", "'ct' is in the path, but so is 'mri'")
    assert guess_key("x", ["melanoma"])["task"].surety == "doubtful"
    assert guess_key("x", ["melanoma"])["area"].surety == "doubtful"
    # What lies nearest to the images counts.
    assert guess_key("ct/brain mri")["modality"].value == "MRI"


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=5))
def test_whatever_the_names_the_words_are_med_mats_and_never_sure(path: str, classes: list[str]) -> None:
    for guess in guess_key(path, classes).values():
        assert guess.surety in ("likely", "doubtful")
        assert yaml.safe_load(f"{guess.value}  # {guess.surety}: {guess.why}") == guess.value


def test_every_word_of_the_table_is_found() -> None:
    from datasets_spec.catalog.draft_keys import _key_words, _said

    known = {e: {getattr(s, e) for s in load_catalog("med_mat").spec.subsets} for e in ("modality", "area")}
    for element in ELEMENTS:
        for value, words in _key_words()[element].items():
            assert element == "task" or value in known[element]
            assert all((value, word) in _said(element, f"a {word} of it") for word in words)


def test_how_often_names_are_right_is_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of decision 57, by Med-MAT's own data sets, whose names are not looked up here."""
    monkeypatch.setattr("datasets_spec.catalog.draft_keys._published", lambda path: {})
    catalog = load_catalog("med_mat").spec
    subsets = {source: subset for subset in reversed(catalog.subsets) for source in subset.sources}
    counts: Counter[tuple[str, str]] = Counter()
    for source in catalog.sources:
        if source.id in subsets:
            last = (source.url or "").split("?")[0].rstrip("/").rsplit("/", 1)[-1]
            found = guess_key(f"{source.name}/{last}")
            for element in ELEMENTS:
                guess = found.get(element)
                is_right = guess is not None and guess.value == getattr(subsets[source.id], element)
                told = "nothing" if guess is None else f"{guess.surety}, {'right' if is_right else 'wrong'}"
                counts[element, told] += 1
    assert counts == {
        ("modality", "likely, right"): 43, ("modality", "likely, wrong"): 1, ("modality", "nothing"): 45,
        ("modality", "doubtful, right"): 16, ("modality", "doubtful, wrong"): 1,
        ("area", "likely, right"): 44, ("area", "likely, wrong"): 7, ("area", "nothing"): 36,
        ("area", "doubtful, right"): 17, ("area", "doubtful, wrong"): 2,
        ("task", "doubtful, right"): 12, ("task", "doubtful, wrong"): 17, ("task", "nothing"): 77,
    }  # fmt: skip
