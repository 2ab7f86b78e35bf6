"""A selection that harms what the backbone did before says so; one that does not says how large a loss it would see."""

from __future__ import annotations

from search.evidence.forgetting import compute_retained, retained_sentence
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection
from tests.makers.records import MadeUpStudy

MIX = {"ct-brain-bleed": 60}


def made(after: float) -> MadeUpStudy:
    study = MadeUpStudy(num_questions=400, seed_sd=0.005)
    study.add("baseline", "baseline", {}, {("us-breast-mass", "confirm"): 0.9, ("ct-lung-nodule", "confirm"): 0.5})
    for seed in range(3):
        places = {("us-breast-mass", "confirm"): after, ("ct-lung-nodule", "confirm"): 0.8}
        study.add("confirm", "finalist-1", MIX, places, seed=seed)
    return study


def retained(study: MadeUpStudy) -> list[dict[str, object]]:
    return compute_retained(study.records, Outcomes(study.load), "finalist-1", ["us-breast-mass"], seed=0)


def test_a_loss_is_found_and_told() -> None:
    (entry,) = retained(made(0.7))
    assert entry["verdict"] == "worse"
    text = retained_sentence([entry])
    assert text.startswith("It harms what the backbone did before: us-breast-mass by ")


def test_no_loss_says_what_would_have_been_seen() -> None:
    (entry,) = retained(made(0.9))
    assert entry["verdict"] == "no difference detected"
    assert "would have been found four times in five" in retained_sentence([entry])
    assert retained_sentence([]) == ""


def test_the_selections_sentence_carries_it() -> None:
    study = made(0.7)
    rules = SelectionRules(targets=["ct-lung-nodule"], objective="cg", retained=["us-breast-mass"])
    selection = build_selection(study.records, Outcomes(study.load), rules)
    assert "better than the untrained backbone" in selection["verdict"]
    assert "It harms what the backbone did before" in selection["verdict"]
    assert [entry["eval_set"] for entry in selection["retained"]] == ["us-breast-mass"]
