"""What is said when a search ends: its best by the model, and what needs no search beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.phases.left_to_gain import left_to_gain
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Suggestion
from tests.makers.study_fixture import open_study

FOUND = Suggestion(candidate=Candidate(Composition({"ct-lung": 4})), reason="highest posterior mean, 61.0%")


def trial(stage: str, accuracy: float, source: str = "ct-lung") -> dict[str, Any]:
    evaluation = {"eval_set": "mr-lung", "split": "search", "exposure": "held_out", "accuracy": accuracy, "n": 10}
    record = {"kind": "trial", "stage": stage, "status": "finished", "composition": {source: 4}}
    return record | {"evaluations": [evaluation]}


def test_it_names_what_needs_no_search_and_why_it_ended(tmp_path: Path) -> None:
    spec = open_study(tmp_path, {"strategy": {"name": "recombine", "num_trials": 9, "stop_when": 0.2}}).spec
    lucky = [trial("single", accuracy, "ct-brain") for accuracy in (0.5, 0.7, 0.5)]
    trials = [trial("baseline", 0.5), *lucky, trial("single", 0.6), trial("control", 0.52)]
    text = left_to_gain(spec, trials, FOUND, 9)
    assert text.startswith("the search ended after 9 of 9 trials with ct-lung:4: highest posterior mean, 61.0%")
    assert "the best single source 60.0%, the best control 52.0%, the backbone 50.0%" in text
    stop = {"kind": "search_stopped", "why": "it was enough", "proposal_index": 0, "limits": spec.search_limits}
    assert "after 5 of 9 trials, because it was enough, with" in left_to_gain(spec, [*trials, stop], FOUND, 5)
    smaller = [*trials, {**stop, "limits": {**spec.search_limits, "budget_wall_h": 1.0}}]
    assert "after 9 of 9 trials with" in left_to_gain(spec, [*smaller, {"kind": "suggestion"}], FOUND, 9)
    begun = [*smaller, {"kind": "confirm_started"}]
    assert "because it was enough" in left_to_gain(spec, begun, FOUND, 5), "a budget that came too late changes nothing"
    assert "(" not in left_to_gain(spec, [], FOUND, 9)
