"""What constraints ask on `search`, and which candidates come last for breaking one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError
from search.evidence.confirmation.constraints import Kept, _entry
from search.ledger.records import Record
from search.phases.constraints import keeping_first, least_scores
from search.phases.search import context_of, in_order, known_results
from search.planning.constraints import constraint_lines
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Observation
from search.study.requirements import require_rows
from search.study.spec import StudySpec
from search.vocabulary import Status
from tests.makers.study_fixture import changed, make_factory, open_study, write_store

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
    results = [seen("a", t=0.4, u=0.9), seen("b", t=0.6, u=0.9), seen("c", t=0.7, u=0.6)]
    first, last, said = keeping_first(best, results, {"t": 0.5, "u": 0.6})
    assert (first, last) == ([candidate("b"), candidate("c")], [candidate("a")])
    assert said == "constraints: 1 of 3 candidates break one on search and come last"
    assert keeping_first(best, results, {}) == (best, [], None)


def test_what_was_not_measured_is_neither_kept_nor_broken() -> None:
    best = [candidate("a"), candidate("b")]
    results = [seen("a", t=0.9), seen("b", t=0.9, u=0.9)]
    first, last, said = keeping_first(best, results, {"t": 0.5, "u": 0.6})
    assert (first, last) == (best, [])
    assert said is not None
    assert said.endswith(
        "broken on search by none of 2 candidates for the confirmation; 1 of them was not scored on all that is asked"
    )
    _, _, said = keeping_first(best, [seen("a", t=0.4), *results[1:]], {"t": 0.5, "u": 0.6})
    assert said == "constraints: 1 of 2 candidates break one on search and come last"
    _, _, said = keeping_first(best, [results[0], seen("b", t=0.9, u=0.1)], {"t": 0.5, "u": 0.6})
    assert said is not None
    assert said.endswith("come last; 1 of the others was not scored on all that is asked")


def test_exactly_the_allowed_loss_is_kept() -> None:
    least = {"t": 0.8 - 10 / 100}
    assert least["t"] > 0.7, "by rounding only"
    first, last, said = keeping_first([candidate("a")], [seen("a", t=0.7)], least)
    assert (first, last) == ([candidate("a")], [])
    assert said == "constraints: kept on search by all 1 candidates for the confirmation"
    shown = _entry("t", "confirm", "difference", 0.0, -10 / 100, (0.7 - 0.8, 0.1))
    assert shown["state"] == Kept.kept
    broken = _entry("t", "confirm", "difference", -0.2, -10 / 100, (-0.3, -0.11))
    assert broken["state"] == Kept.broken


def test_the_cheaper_finalist_is_looked_for_among_those_that_keep_the_constraints() -> None:
    spec = StudySpec.model_validate(changed({"confirm.cheaper_within": 5.0, "confirm.num_finalists": 2}))
    sizes = {"best": 8, "near": 8, "breaks": 2, "cheap": 4}
    kept = {"best": 0.9, "near": 0.9, "breaks": 0.1, "cheap": 0.9}
    best = [Candidate(Composition({name: size})) for name, size in sizes.items()]
    results = [
        Observation(
            candidate=each,
            values=(0.8 - 0.01 * place,),
            status=Status.finished,
            proposal_index=place,
            scores={"kept": kept[each.composition.subsets[0]]},
        )
        for place, each in enumerate(best)
    ]
    ranked, said = in_order(spec, best, results, {"kept": 0.5})
    assert [each.composition.subsets[0] for each in ranked] == ["best", "cheap", "near", "breaks"]
    assert said[0] == "constraints: 1 of 4 candidates break one on search and come last"
    assert said[1] is not None
    assert said[1].startswith("cheaper finalist: cheap")


def test_a_floor_on_an_ability_is_asked_of_a_trial_on_its_own_key_too(tmp_path: Path) -> None:
    asked = {"constraints": {"no_image_floor": True}, "abilities": ["mr-brain-time"], "space.recipe": {}}
    spec = open_study(tmp_path, asked).spec
    scores = {"mr-brain-time": 0.9, "mr-lung": 0.8}
    trial: Record = {
        "kind": "trial", "stage": "reused", "status": "finished", "composition": {"xr-hand": 4}, "recipe": {},
        "train_id": "a training", "evaluations": [
            {"eval_set": name, "split": "search", "exposure": "in_domain", "accuracy": score, "n": 10}
            for name, score in scores.items()
        ],
    }  # fmt: skip
    (known,) = known_results(spec, [trial])
    assert known.scores == {"mr-brain-time": 0.9}, "what is no target counts, a target's own key never"


def test_where_none_keeps_all_the_order_stays_and_a_warning_says_so() -> None:
    best = [candidate("a"), candidate("b")]
    first, last, said = keeping_first(best, [seen("a", t=0.4), seen("b", t=0.3)], {"t": 0.5})
    assert (first, last) == (best, [])
    untried = [candidate("new"), *best]
    assert keeping_first(untried, [seen("a", t=0.4), seen("b", t=0.3)], {"t": 0.5}) == (untried, [], said)
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
