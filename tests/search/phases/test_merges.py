"""Which merges are scored, and how their scores reach strategies."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from search.engine.recorder import Recorder
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.phases.merges import choose_merges, proxy_of, shares_of, single_trials
from search.phases.search import context_of
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.study.run_dir import RunDir
from search.vocabulary import Stage
from tests.makers.study_fixture import finish_trial, make_factory, open_study, plan_trial, trial_result, write_store
from trainers.trial.merged import merge_digest

WORTH = {name: k / 10 for k, name in enumerate("abcdef")}


def space(**changes: Any) -> CompositionSpace:
    fields: dict[str, Any] = {"sources": tuple("abcdef"), "num_samples": (10, 20), "budget": 120} | changes
    return CompositionSpace(**fields)


def test_half_are_what_single_sources_promise_and_half_a_sample() -> None:
    chosen = choose_merges(space(num_samples=(10,)), WORTH, 20, seed=0)
    assert len({shares_of(c) for c in chosen}) == 20
    assert all(len(c) > 1 for c in chosen)
    assert chosen[0] == Composition({"e": 10, "f": 10})

    def promise(c: Composition) -> float:
        return sum(WORTH[s] for s in c) / len(c)

    listed = sorted((promise(c) for c in space(num_samples=(10,)).enumerate() if len(c) > 1), reverse=True)
    assert sorted(map(promise, chosen[:10]), reverse=True) == pytest.approx(listed[:10])
    assert min(map(promise, chosen[10:])) < 0.2
    assert choose_merges(space(num_samples=(10,)), WORTH, 20, seed=0) == chosen
    assert choose_merges(space(num_samples=(10,)), WORTH, 20, seed=1) != chosen


def test_equal_shares_are_one_merge_and_sources_without_an_adapter_are_in_none() -> None:
    chosen = choose_merges(space(max_size=2), {"a": 0.5, "b": 0.6, "c": 0.7}, 100, seed=0)
    assert {shares_of(c) for c in chosen} == {
        ((one, share), (two, 1 - share))
        for one, two in (("a", "b"), ("a", "c"), ("b", "c"))
        for share in (Fraction(1, 2), Fraction(1, 3), Fraction(2, 3))
    }
    large = CompositionSpace(sources=tuple(f"s{k:02d}" for k in range(40)), num_samples=(1,), budget=40)
    assert len(choose_merges(large, {f"s{k:02d}": 0.5 for k in range(40)}, 16, seed=0)) == 16


def test_a_merge_is_recorded_as_a_proxy_and_never_as_a_trial(tmp_path: Path) -> None:
    factory = make_factory(tmp_path)
    heard: list[object] = []
    composition = {"ct-lung": 4, "mr-brain": 8}
    planned = plan_trial(factory, composition, stage=Stage.merge, arm="merge", proposal_index=None)
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        recorder = Recorder(RunDir(tmp_path), ledger, heard.append)
        recorder.record(planned, trial_result(planned, accuracy=0.75))
        assert recorder.is_done(planned)
        assert ledger.records("trial") == ()
        (record,) = ledger.records(Kind.proxy)
        assert heard == []
        proxy = proxy_of(ledger.records())
    assert proxy is not None
    assert proxy(Composition({"ct-lung": 20, "mr-brain": 40})) == {"mr-lung": 0.75}  # equal shares
    assert proxy(Composition({"ct-lung": 8, "mr-brain": 8})) is None
    assert proxy_of([record | {"status": "failed"}]) is None


def test_strategies_are_told_of_merges_and_single_sources(tmp_path: Path) -> None:
    changes = {"strategy.num_merges": 4, "space.recipe": None}
    study = open_study(tmp_path, changes)
    store, factory = write_store(study), make_factory(tmp_path, changes)
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        recorder = Recorder(RunDir(tmp_path), ledger, lambda record: None)
        for arm, composition, stage, accuracy in (
            ("single:ct-lung", {"ct-lung": 8}, Stage.single, 0.6),
            ("merge", {"ct-lung": 4, "mr-brain": 4}, Stage.merge, 0.7),
        ):
            planned = plan_trial(factory, composition, stage=stage, arm=arm, proposal_index=None)
            recorder.record(planned, trial_result(planned, accuracy=accuracy))
        context = context_of(study, store, ledger.records())
        assert list(single_trials(ledger.records("trial"))) == ["ct-lung"]
    assert context.proxy is not None
    assert context.proxy(Composition({"ct-lung": 8, "mr-brain": 8})) == {"mr-lung": 0.7}
    (known,) = context.known
    assert (known.candidate.composition, known.values) == (Composition({"ct-lung": 8}), (0.6,))
    assert known.proposal_index < 0


def test_a_merge_has_an_identity_of_its_own(tmp_path: Path) -> None:
    """Other weights or other parts are another merge, and none is the training on its composition."""
    planned = plan_trial(make_factory(tmp_path), {"ct-lung": 4, "mr-brain": 4})
    finish_trial(tmp_path, planned)
    digests = [merge_digest(w) for w in ({"x": 0.5, "y": 0.5}, {"x": 0.25, "y": 0.75}, {"x": 0.5, "z": 0.5})]
    identities = {planned.spec.model_copy(update={"rows_digest": d}).train_id for d in digests}
    assert len(identities | {planned.spec.train_id}) == 4
