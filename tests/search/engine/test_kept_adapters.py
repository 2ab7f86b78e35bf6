"""Adapters that are kept: what a later phase needs is never removed, and of the rest only the best stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.kept_adapters import KeptAdapters
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.ledger.ledger import Ledger
from search.ledger.records import trials_of
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from search.vocabulary import Stage
from tests.makers.study_fixture import STUDY, changed, finish_trial, make_factory, plan_trial, trial_result
from trainers.trial.folder import finished_result

CONFIRM_SEED = STUDY["confirm"]["seeds"][0]


def spec_of(keep: int | str) -> StudySpec:
    return StudySpec.model_validate(changed({"execution.keep_adapters": keep}))


class Run:
    """A study directory in which trials end one after the other."""

    def __init__(self, folder: Path, keep: int | str) -> None:
        self.run_dir = RunDir(folder / "run")
        self.ledger = Ledger.open(folder / "run" / "ledger", writer=True)
        self.kept = KeptAdapters(spec_of(keep), self.run_dir)
        self.recorder = Recorder(self.run_dir, self.ledger, self.kept.see)

    def end(self, planned: PlannedTrial, accuracy: float = 0.5) -> Path:
        folder = finish_trial(self.run_dir.root, planned, accuracy=accuracy)
        self.recorder.record(planned, trial_result(planned, accuracy=accuracy))
        return folder


def proposal(factory: TrialFactory, number: int) -> PlannedTrial:
    return plan_trial(
        factory, {"ct-lung": 4, "ct-brain": 4}, seed=number, arm=f"proposal-{number}", proposal_index=number
    )


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> TrialFactory:
    return make_factory(tmp_path_factory.mktemp("study"))


def has_weights(folders: dict[Any, Path]) -> set[Any]:
    return {name for name, folder in folders.items() if (folder / "adapter").is_dir()}


@settings(max_examples=15)  # each writes a study directory durably
@given(accuracies=st.lists(st.integers(0, 5), min_size=1, max_size=7), keep=st.integers(0, 4))
def test_the_best_of_the_search_stay_and_the_first_of_equals(
    factory: TrialFactory, tmp_path_factory: pytest.TempPathFactory, accuracies: list[int], keep: int
) -> None:
    run = Run(tmp_path_factory.mktemp("run"), keep)
    folders = {i: run.end(proposal(factory, i), accuracy / 10) for i, accuracy in enumerate(accuracies)}
    in_order = sorted(range(len(accuracies)), key=lambda i: (-accuracies[i], i))
    assert has_weights(folders) == set(in_order[:keep])
    again = KeptAdapters(spec_of(keep), run.run_dir)  # as after a kill
    again.see_all(trials_of(run.ledger.records()))
    assert has_weights(folders) == set(in_order[:keep])


def test_what_a_later_phase_needs_stays(factory: TrialFactory, tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    both = {"ct-lung": 4, "ct-brain": 4}
    folders = {
        "single": run.end(plan_trial(factory, {"ct-lung": 8}, stage=Stage.single, arm="single:ct-lung")),
        "proposal of one source": run.end(plan_trial(factory, {"ct-brain": 8})),
        "finalist": run.end(plan_trial(factory, both, stage=Stage.confirm, arm="finalist-1", seed=CONFIRM_SEED)),
        "control of the confirmation": run.end(
            plan_trial(factory, {"us-heart": 4, "xr-hand": 4}, stage=Stage.control, arm="control:mr-lung",
                       seed=CONFIRM_SEED)
        ),
        "design": run.end(plan_trial(factory, both, stage=Stage.design, arm="row:related", seed=7)),
        "taken over": run.end(plan_trial(factory, both, stage=Stage.reused, arm="reused", seed=8)),
        "control of the matrix": run.end(
            plan_trial(factory, {"us-heart": 4, "xr-hand": 4}, stage=Stage.control, arm="control:mr-lung", seed=0)
        ),
        "proposal": run.end(proposal(factory, 9)),
    }  # fmt: skip
    assert has_weights(folders) == set(folders) - {"control of the matrix", "proposal"}


def test_a_trial_that_two_parts_of_a_study_have_stays_where_one_keeps_it(factory: TrialFactory, tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    planned = proposal(factory, 3)
    taken = plan_trial(factory, planned.spec.composition, seed=3, stage=Stage.reused, arm="reused")
    assert taken.spec.train_id == planned.spec.train_id
    folder = run.end(taken)
    assert run.recorder.is_done(planned)
    assert finished_result(folder, planned.spec.train_id) is not None


def test_all_may_be_kept_and_failures_are_no_matter(factory: TrialFactory, tmp_path: Path) -> None:
    run = Run(tmp_path, "all")
    folders = {i: run.end(proposal(factory, i)) for i in range(3)}
    assert has_weights(folders) == {0, 1, 2}
    other = Run(tmp_path / "other", 0)
    failed = proposal(factory, 5)
    finish_trial(other.run_dir.root, failed, status="diverged")
    other.recorder.record(failed, trial_result(failed, status="diverged"))


def test_a_removed_trial_is_done_and_counts_as_before(factory: TrialFactory, tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    planned = proposal(factory, 1)
    run.end(planned)
    twin = plan_trial(factory, planned.spec.composition, seed=1, arm="proposal-8", proposal_index=8)
    assert run.recorder.is_done(twin)  # proposed again: its scores are there
