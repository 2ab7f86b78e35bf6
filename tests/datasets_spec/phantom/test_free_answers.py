"""Naming and locating questions: their answers are true of the picture, and need both rules."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.phantom.free_answers import (
    CELL_PIXELS,
    FREE_TEMPLATES,
    LOCATING,
    NAMING,
    NOTHING_TO_NAME,
    cell_box,
    free_keys,
    make_free_sample,
    named,
)
from datasets_spec.phantom.questions import PhantomKey, all_keys
from datasets_spec.phantom.scenes import Blob
from datasets_spec.phantom.world import CRITERIA, NUM_CELLS, REGION_OF_AREA, REGIONS
from datasets_spec.phantom.write import write_phantom
from trainers.phantom.architecture import build_tokenizer, vocabulary
from trainers.prompts.box_language import box_language_of

NAME, PLACE = (PhantomKey(modality="xray", area="lung", task=task) for task in (NAMING, LOCATING))


def test_names_are_new_and_samples_are_exact() -> None:
    assert not {key.name for key in free_keys()} & {key.name for key in all_keys()}
    one, again = (make_free_sample(NAME, seed=3, split="train", index=7) for _ in range(2))
    assert np.array_equal(one.image, again.image)
    assert (one.answer, one.box) == (again.answer, again.box)


def test_the_box_is_a_cell_of_the_areas_region() -> None:
    region = {cell_box(cell) for cell in REGIONS[REGION_OF_AREA["lung"]]}
    seen = {make_free_sample(PLACE, seed=0, split="train", index=i).box for i in range(200)}
    assert seen == region
    assert {box[2] - box[0] for box in map(cell_box, range(NUM_CELLS))} == {CELL_PIXELS}


def test_every_property_is_named_in_half_of_the_answers() -> None:
    answers = [make_free_sample(NAME, seed=0, split="train", index=i).answer.split() for i in range(600)]
    counts = Counter(word for answer in answers for word in answer)
    assert set(counts) == {*CRITERIA, NOTHING_TO_NAME}
    assert all(0.4 < counts[word] / 600 < 0.6 for word in CRITERIA)
    assert named(Blob(0, 0, large=True, upright=False, strong=True, bright=False)) == "large left strong"
    assert named(Blob(3, 0, large=False, upright=False, strong=False, bright=False)) == NOTHING_TO_NAME


def test_the_shipped_vocabulary_has_every_word_and_every_edge() -> None:
    words, tokenizer = vocabulary(), build_tokenizer()
    for key in free_keys():
        question = FREE_TEMPLATES[key.task].format(area=key.area, modality=key.modality).replace("?", " ?")
        assert set(question.split()) <= set(words)
    assert {*CRITERIA, NOTHING_TO_NAME} <= set(words)
    language = box_language_of(tokenizer)
    assert language.num_lines is not None
    assert tokenizer.unk_token_id not in tokenizer("A B C D E").input_ids


def test_they_are_written_beside_the_others_and_only_when_named(tmp_path: Path) -> None:
    names = [NAME.name, PLACE.name, "xray-lung-staging"]
    catalog = load_catalog(write_phantom(tmp_path, subsets=names, num_pool=6, num_test=2))
    kinds = {name: (catalog.subset(name).answer_kind, catalog.subset(name).box_form) for name in names}
    assert kinds == {
        NAME.name: ("open", None), PLACE.name: ("box", "corners_pixels"), "xray-lung-staging": ("closed", None),
    }  # fmt: skip
    (record, *_) = json.loads((tmp_path / catalog.subset(PLACE.name).pool[0]).read_text())
    assert record["box"] == list(make_free_sample(PLACE, seed=0, split="train", index=0).box)
    assert "Answer" not in record
