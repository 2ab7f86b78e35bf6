"""Early stopping: what is clearly behind stops, what may be noise goes on, and a killed study decides the same."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.engine.rungs import RungBook, decide, paired_lead, rung_steps
from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.study.spec import StudySpec
from tests.makers.study_fixture import make_factory, open_study, plan_trial

EARLY = {"early_stopping": {"enabled": True}, "execution": {"executor": "pooled"}}
NUM_QUESTIONS = 120


def spec_of(root: Path, **options: Any) -> StudySpec:
    changes = {**EARLY, "early_stopping": {"enabled": True, **options}, "recipe.num_steps": 80}
    return open_study(root, changes).spec


def bits(rng: random.Random, share: float, common: str | None = None) -> str:
    """Answers of one trial; questions that are easy for one are mostly easy for all."""
    fresh = "".join("1" if rng.random() < share else "0" for _ in range(NUM_QUESTIONS))
    return (
        fresh if common is None else "".join(c if rng.random() < 0.5 else f for c, f in zip(common, fresh, strict=True))
    )


def test_rungs_are_steps_within_the_trial(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, rungs=[0.1, 0.5, 0.99])
    assert rung_steps(spec, spec.recipe) == (8, 40, 79)
    assert rung_steps(spec, spec.recipe.model_copy(update={"num_steps": 2})) == (1,)
    assert rung_steps(open_study(tmp_path / "b").spec, spec.recipe) == ()


@pytest.mark.parametrize("rungs", [[0.5, 0.25], [0.5, 0.5], [0.0], [1.0], []])
def test_rungs_that_make_no_sense_are_refused(tmp_path: Path, rungs: list[float]) -> None:
    with pytest.raises(UserError, match="early_stopping"):
        spec_of(tmp_path, rungs=rungs)


def test_early_stopping_needs_slots(tmp_path: Path) -> None:
    for execution in ({"executor": "nested"}, {"num_workers": 0}):
        with pytest.raises(UserError, match="early_stopping needs slots"):
            open_study(tmp_path, {"early_stopping": {"enabled": True}, "execution": execution})


def test_the_paired_difference_is_that_of_the_questions() -> None:
    lead, error = paired_lead([{"a": "1100", "b": "11"}], {"a": "1000", "b": "11"})
    assert lead == pytest.approx(0.125)
    variance_a, variance_b = 0.25 / 4, 0.5 / 2  # of a: one of four differs; of b: none does, taken as one of two
    assert error == pytest.approx((variance_a + variance_b) ** 0.5 / 2)


def test_the_first_trials_go_on_whatever_they_score(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, min_trials=4)
    good, bad = {"t": "1" * NUM_QUESTIONS}, {"t": "0" * NUM_QUESTIONS}
    assert decide(bad, [good, good], spec).goes_on
    assert not decide(bad, [good, good, good], spec).goes_on
    assert decide(good, [bad, bad, bad], spec).goes_on


def test_noise_is_not_a_reason_to_stop(tmp_path: Path) -> None:
    """Trials of equal worth: plain scores stop two of three, paired ones almost none."""
    paired, plain = spec_of(tmp_path / "a", confidence=0.95), spec_of(tmp_path / "b", confidence=0.5)
    rng = random.Random(0)
    stopped = {"paired": 0, "plain": 0}
    for _ in range(300):
        others = [{"t": bits(rng, 0.6)} for _ in range(9)]
        mine = {"t": bits(rng, 0.6)}
        stopped["paired"] += not decide(mine, others, paired).goes_on
        stopped["plain"] += not decide(mine, others, plain).goes_on
    assert stopped["paired"] <= 0.2 * 300  # the cut-off is itself the best of noise, hence more than 5 %
    assert stopped["plain"] >= 0.5 * 300


def test_what_is_clearly_behind_stops(tmp_path: Path) -> None:
    spec, rng = spec_of(tmp_path), random.Random(1)
    decisions = []
    for _ in range(100):
        others = [{"t": bits(rng, 0.8)} for _ in range(6)] + [{"t": bits(rng, 0.5)} for _ in range(6)]
        decisions.append(decide({"t": bits(rng, 0.5)}, others, spec).goes_on)
    assert sum(decisions) <= 5


def test_the_mean_of_the_best_is_a_higher_and_surer_reference_than_the_last_of_them(tmp_path: Path) -> None:
    last, mean = spec_of(tmp_path / "a"), spec_of(tmp_path / "b", reference="mean")
    rng = random.Random(2)
    stopped = {"last": 0, "mean": 0, "best": 0}
    for _ in range(100):
        others = [{"t": bits(rng, 0.55 + 0.03 * k)} for k in range(9)]
        mine, best = {"t": bits(rng, 0.62)}, {"t": bits(rng, 0.8)}
        stopped["last"] += not decide(mine, others, last).goes_on
        stopped["mean"] += not decide(mine, others, mean).goes_on
        stopped["best"] += not decide(best, others, mean).goes_on
    assert stopped["mean"] >= stopped["last"] + 10
    assert stopped["best"] <= 2
    assert "behind the mean of the best 33%" in decide({"t": "0" * NUM_QUESTIONS}, others, mean).reason


def test_a_lead_over_several_is_that_over_their_mean() -> None:
    lead, error = paired_lead([{"a": "1110"}, {"a": "0110"}], {"a": "1001"})
    assert lead == pytest.approx((-0.5 + 1 + 1 - 1) / 4)
    assert error == pytest.approx(((0.625**2 + 2 * 0.875**2 + 1.125**2) / 3 / 4) ** 0.5)


def planned_with_rungs(root: Path, **place: Any) -> PlannedTrial:
    changes = {**EARLY, "recipe.num_steps": 4}
    factory = make_factory(root, changes)
    planned = plan_trial(factory, {"ct-lung": 4}, **place)
    spec = planned.spec.model_copy(update={"rungs": (1, 2), "seed": place.get("proposal_index", 0)})
    return PlannedTrial(spec=spec, stage=planned.stage, arm=planned.arm, proposal_index=planned.proposal_index)


def ask(book: RungBook, planned: PlannedTrial, correct: Mapping[str, str], step: int = 2) -> bool:
    return book.goes_on(planned, step, correct)


def test_decisions_are_in_the_ledger_and_stay(tmp_path: Path) -> None:
    spec = open_study(tmp_path / "s", EARLY).spec
    good, bad = {"mr-lung": "1111" * 30}, {"mr-lung": "0000" * 30}
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        book = RungBook(ledger, spec)
        for index in range(4):
            assert ask(book, planned_with_rungs(tmp_path / "s", proposal_index=index), good)
        late = planned_with_rungs(tmp_path / "s", proposal_index=4)
        assert not ask(book, late, bad)
        assert ask(book, late, bad, step=1)  # nobody else was scored at that rung
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:  # the study was killed
        again = RungBook(ledger, spec)
        assert not ask(again, late, good)  # what was decided stays, whatever is said now
        assert len(ledger.records(Kind.rung)) == 6
        record = next(r for r in ledger.records(Kind.rung) if r["proposal_index"] == 4)
        assert (record["goes_on"], record["step"], record["rung"], record["correct"]) == (False, 2, 1, bad)
        assert "behind the best 33%" in record["reason"]


def test_a_deterministic_study_looks_only_at_what_a_proposal_may_know(tmp_path: Path) -> None:
    spec = open_study(tmp_path / "s", {**EARLY, "deterministic": True}).spec
    good, bad = {"mr-lung": "1111" * 30}, {"mr-lung": "0000" * 30}
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        book = RungBook(ledger, spec)
        for index in (0, 1, 2, 5, 6, 7):
            ask(book, planned_with_rungs(tmp_path / "s", proposal_index=index), good)
        assert ask(book, planned_with_rungs(tmp_path / "s", proposal_index=3), bad)  # sees 0, 1: too few
        assert not ask(book, planned_with_rungs(tmp_path / "s", proposal_index=9), bad)


def test_questions_of_a_target_that_was_trained_on_do_not_count(tmp_path: Path) -> None:
    spec = open_study(tmp_path / "s", {**EARLY, "space.composition.sources": ["ct-lung", "ct-brain"]}).spec
    planned = planned_with_rungs(tmp_path / "s")
    inside = planned.spec.model_copy(
        update={"evaluations": tuple(e.model_copy(update={"exposure": "in_domain"}) for e in planned.spec.evaluations)}
    )
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        book = RungBook(ledger, spec)
        other = PlannedTrial(spec=inside, stage=planned.stage, arm="proposal-0", proposal_index=0)
        assert ask(book, other, {"mr-lung": "1111"})
        assert ledger.records(Kind.rung)[0]["correct"] == {}
