"""What constraints ask on `search`, and which candidates come last for breaking one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError
from search.phases.constraints import keeping_first, least_scores
from search.phases.search import context_of
from search.planning.constraints import constraint_lines
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Observation
from search.study.requirements import require_rows
from search.vocabulary import Status
from tests.makers.study_fixture import make_factory, open_study, write_store

LOST = {"constraints": {"most_lost": 5.0}, "retained": ["us-heart"], "control_sources": ["xr-hand"]}


def candidate(name: str) -> Candidate:
    return Candidate(Composition({name: 4}))


def seen(name: str, **scores: float) -> Observation:
    return Observation(
        candidate=candidate(name), values=(0.5,), status=Status.finished, proposal_index=0, scores=scores
    )


def baseline(**scores: float) -> dict[str, Any]:
    evaluations = [
        {"eval_set": name.replace("_", "-"), "split": "search", "exposure": "held_out", "accuracy": score, "n": 10}
        for name, score in scores.items()
    ]
    return {"kind": "trial", "stage": "baseline", "status": "finished", "evaluations": evaluations}


def test_candidates_that_break_a_constraint_come_last_while_another_keeps_all() -> None:
    best = [candidate("a"), candidate("b"), candidate("c")]
    results = [seen("a", t=0.4, u=0.9), seen("b", t=0.6, u=0.9), seen("c", t=0.7)]
    ranked, said = keeping_first(best, results, {"t": 0.5, "u": 0.8})
    assert ranked == [candidate("b"), candidate("c"), candidate("a")]
    assert said == "constraints: 1 of 3 candidates break one on search and come last"
    assert keeping_first(best, results, {}) == (best, None)


def test_where_none_keeps_all_the_order_stays_and_a_warning_says_so() -> None:
    best = [candidate("a"), candidate("b")]
    ranked, said = keeping_first(best, [seen("a", t=0.4), seen("b", t=0.3)], {"t": 0.5})
    assert ranked == best
    untried = [candidate("new"), *best]
    assert keeping_first(untried, [seen("a", t=0.4), seen("b", t=0.3)], {"t": 0.5}) == (untried, said)
    assert said == "WARNING: constraints: no trial keeps all of them on search: t (at least 50.0%)"


def test_losses_are_counted_from_the_untrained_backbone_and_floors_from_the_questions(tmp_path: Path) -> None:
    study = open_study(tmp_path, LOST)
    store = write_store(study)
    least = least_scores(study.spec, store, [baseline(us_heart=0.8, mr_lung=0.3)])
    assert least == {"us-heart": pytest.approx(0.75)}
    floor = open_study(tmp_path / "floor", {"constraints": {"no_image_floor": True}})
    found = least_scores(floor.spec, write_store(floor), [])
    assert found == {"mr-lung": 1.0}, "every answer of these rows is `yes`"
    assert least_scores(open_study(tmp_path / "none").spec, store, []) == {}


def test_what_must_be_kept_is_scored_in_the_search_and_known_to_the_strategy(tmp_path: Path) -> None:
    study = open_study(tmp_path, LOST)
    store = write_store(study)
    context = context_of(study, store, [baseline(us_heart=0.8)])
    assert context.kept == ("us-heart",)
    assert set(context.target_keys) == set(context.num_items) == {"mr-lung", "us-heart"}
    trial = make_factory(tmp_path / "b", LOST).baseline().spec
    assert {(e.eval_set, e.split) for e in trial.evaluations} >= {("us-heart", "search"), ("us-heart", "confirm")}
    before = make_factory(tmp_path / "c", {"retained": ["us-heart"]}).baseline().spec
    assert ("us-heart", "search") not in {(e.eval_set, e.split) for e in before.evaluations}


def test_a_plan_says_what_is_asked_and_who_does_not_look(tmp_path: Path) -> None:
    asked = LOST | {"constraints": {"most_lost": 5.0, "no_image_floor": True}}
    first, note = constraint_lines(open_study(tmp_path, asked).spec)
    assert "none of mr-lung below what is reached on it without images" in first
    assert "at most 5 points lost on each of us-heart" in first
    assert note.startswith("note: the strategy random proposes trials without regard")
    assert len(constraint_lines(open_study(tmp_path / "b", asked | {"strategy.name": "recombine"}).spec)) == 1
    assert constraint_lines(open_study(tmp_path / "c").spec) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"constraints": {}}, "asks for nothing"), ({"constraints": {"most_lost": 1.0}}, "the study has neither")],
)
def test_constraints_about_nothing_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        open_study(tmp_path, changes)


def test_a_retained_set_without_search_questions_is_refused(tmp_path: Path) -> None:
    study = open_study(tmp_path, LOST)
    with pytest.raises(Exception, match="retained us-heart: no rows in its `search` split"):
        require_rows(study, write_store(study, {"us-heart/search": 0}).count)
