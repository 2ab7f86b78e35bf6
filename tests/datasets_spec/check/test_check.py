"""What a check says of a store: counts, blind baselines, and what must be fixed."""

from __future__ import annotations

import json

import pytest

from datasets_spec.check.check import audit_subset, check_store
from search.cli.data import as_plain
from tests.makers.prepared_corpus import Prepared

pytestmark = pytest.mark.ray


def test_the_audit_counts_and_measures_blind_baselines(prepared: Prepared) -> None:
    audits = {name: audit_subset(prepared.store, name) for name in prepared.store.subsets}
    assert audits["02"].splits == prepared.store.manifest.subsets["02"].splits
    sealed = audits["tested"].blind["sealed"]
    assert sealed.num_closed == 10
    assert sealed.chance == pytest.approx(1 / 3)
    assert sealed.longest_option == pytest.approx(0.3)
    assert audits["eyes-open"].blind["train"].num_closed == 0
    assert audits["spoiled"].quarantined == prepared.store.manifest.subsets["spoiled"].quarantined
    assert audits["spoiled"].leaked == 0


def test_the_check_counts_everything_and_says_what_must_be_fixed(prepared: Prepared) -> None:
    found = check_store(prepared.store, prepared.catalog, sources=["02", "tested"], eval_sets=["02", "eyes-closed"])
    by_name = {subset.audit.name: subset for subset in found.subsets}
    assert set(by_name) == {"02", "spoiled", "tested", "eyes-closed", "eyes-open"}
    eyes = by_name["eyes-closed"]
    assert (eyes.num_closed, eyes.num_open, eyes.num_options, eyes.num_images) == (30, 0, {3: 30}, {2: 30})
    assert by_name["eyes-open"].num_open == 30
    assert by_name["02"].num_questions == 1
    outside_train = sum(num for split, num in by_name["02"].audit.splits.items() if split != "train")
    assert by_name["02"].repeated_questions == outside_train
    assert set(by_name["02"].text_only) == {"search", "confirm", "sealed"}
    assert by_name["spoiled"].text_only == {}
    # Published test files have nothing to train on; naming them as a source is the user's mistake.
    assert [str(remark) for remark in found.must_fix] == ["tested: no row to train on"]
    assert any("patients are unknown" in note.text for note in found.advice)
    json.dumps(as_plain(found))
