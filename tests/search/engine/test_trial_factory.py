"""Identities, exposures and matched controls of the trials of a study."""

from __future__ import annotations

from pathlib import Path

from datasets_spec.catalog.keys import shared_elements
from search.ledger.records import control_arm
from search.space.composition import Composition
from search.vocabulary import Stage
from tests.makers.study_fixture import default_recipe, make_factory, open_study
from trainers.trial.spec import rows_digest


def test_a_trial_trains_on_the_first_rows_of_each_subset(tmp_path: Path) -> None:
    factory = make_factory(tmp_path)
    small, large = (factory.spec(Composition({"ct-lung": n}), default_recipe(), 0, ("search",)) for n in (4, 8))
    same = factory.spec(Composition({"ct-brain": 0, "ct-lung": 4}), default_recipe(), 0, ("search",))
    assert small.train_id == same.train_id
    assert len({small.train_id, large.train_id}) == 2
    hashes = factory._store.row_hashes("ct-lung", "train", 8)
    assert (small.rows_digest, large.rows_digest) == (rows_digest(hashes[:4]), rows_digest(hashes))


def test_what_is_scored_and_how(tmp_path: Path) -> None:
    factory = make_factory(tmp_path, {"targets": ["mr-lung", "ct-brain-new"]})
    spec = factory.spec(Composition({"ct-brain": 4}), default_recipe(), 0, ("search", "confirm", "sealed"))
    places = [(e.split, e.eval_set, e.exposure, e.generate) for e in spec.evaluations]
    assert places == [
        (split, eval_set, exposure, split != "search")
        for split in ("search", "confirm", "sealed")
        for eval_set, exposure in (("mr-lung", "held_out"), ("ct-brain-new", "in_domain"))
    ]
    assert len({spec.score_id(e) for e in spec.evaluations}) == 6


def test_the_baseline_trains_on_nothing(tmp_path: Path) -> None:
    planned = make_factory(tmp_path).baseline()
    assert (planned.stage, planned.arm) == (Stage.baseline, "baseline")
    assert planned.spec.composition == {}
    assert planned.spec.recipe.num_steps == 0
    assert {e.split for e in planned.spec.evaluations} == {"search", "confirm"}  # never sealed


def test_a_control_shares_nothing_with_its_target(tmp_path: Path) -> None:
    factory = make_factory(tmp_path)
    study = open_study(tmp_path)
    control = factory.control("mr-lung", 10)
    assert control is not None
    assert control.total == 10
    assert max(control.values()) - min(control.values()) <= 1
    target = study.catalog.subset("mr-lung").key
    for subset in control:
        assert shared_elements(study.catalog.subset(subset).key, target, study.task_map) == ()
    assert set(control) == {"ct-brain", "us-heart", "xr-hand"}
    assert control_arm("mr-lung") == "control:mr-lung"


def test_a_control_that_cannot_match_says_so_by_its_size(tmp_path: Path) -> None:
    changes = {"control_sources": [], "space.composition.sources": ["ct-brain", "mr-brain"]}
    control = make_factory(tmp_path / "few", changes).control("mr-lung", 20)
    assert control == Composition({"ct-brain": 12})
    assert make_factory(tmp_path / "none", changes).control("ct-brain-new", 20) is None
