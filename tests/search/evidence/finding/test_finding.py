"""Every case of what a study may find: its headline, its cautions, and the number of its next step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.finding.cases import FindingCase
from search.evidence.finding.finding import finding_of, read_finding
from search.evidence.finding.prospects import Prospects
from search.statistics.power import Noise

TARGETS = ("t1", "t2", "t3")
COMPARED = ("control", "baseline", "all-data", "best-single", "random-same-size")
BETTER = dict.fromkeys(COMPARED, 0.1)
CHANCE = dict.fromkeys(TARGETS, 0.5)


def comparison(
    comparator: str, difference: float | None, *, note: str | None = None, seen: float = 0.06
) -> dict[str, Any]:
    """A comparison over all targets; None stands for 1 point that is not told from zero."""
    verdict = "no difference detected" if difference is None else "better" if difference > 0 else "worse"
    measured = 0.01 if difference is None else difference
    half = 0.05 if difference is None else abs(difference) / 2
    return {
        "comparator": comparator, "eval_set": "mean", "split": "sealed", "difference": measured,
        "simultaneous_low": measured - half, "simultaneous_high": measured + half, "verdict": verdict,
        "minimum_detectable": seen, "note": note,
    }  # fmt: skip


def estimate(eval_set: str, accuracy: float) -> dict[str, Any]:
    return {"eval_set": eval_set, "accuracy": accuracy, "ci_low": accuracy - 0.03, "ci_high": accuracy + 0.03}


def selection(
    differences: Mapping[str, float | None],
    *,
    accuracies: tuple[float, ...] = (0.8, 0.8, 0.8),
    lost: float | None = None,
    note: str | None = None,
    seen: float = 0.06,
) -> dict[str, Any]:
    estimates = [estimate(t, a) for t, a in zip(TARGETS, accuracies, strict=True)]
    retained = {"eval_set": "old", "difference": -(lost or 0), "verdict": "worse", "minimum_detectable": 0.04}
    return {
        "composition": {"ct-brain": 240, "mr-lung": 120},
        "estimates": {"confirm": [], "sealed": [*estimates, estimate("mean", sum(accuracies) / 3)]},
        "comparisons": [comparison(name, d, note=note, seen=seen) for name, d in differences.items()],
        "retained": [retained] if lost else [],
    }


def prospects(**change: Any) -> Prospects:
    given_values: dict[str, Any] = {
        "noise": Noise(shift_sd=0.01, pairing=0.3, num_arms=9), "worth_sd": 0.04, "num_trials": 24,
        "num_search_questions": 130, "num_targets": 3, "num_seeds": 3, "num_questions": 150, "num_comparisons": 5,
    }  # fmt: skip
    return Prospects(**given_values | change)


def found(content: dict[str, Any], *, no_image: Mapping[str, float] = CHANCE, **change: Any) -> Any:
    return finding_of(content, no_image={"sealed": no_image}, prospects=prospects(**change))


def test_better_than_everything_says_what_to_train_on() -> None:
    finding = found(selection(BETTER))
    assert finding.case is FindingCase.better_than_all
    assert finding.recommends
    assert finding.headline == (
        "Train on 240 samples of ct-brain and 120 samples of mr-lung: better than everything it was compared with."
    )
    assert "the untrained backbone by 10.0 points (simultaneous 95 % interval 5.0 to 15.0)" in finding.detail
    assert re.fullmatch(r"One point more is expected from a search of \d+ trials \(now 24\)\.", finding.next_step)


def test_before_sealed_is_opened_that_is_the_next_step() -> None:
    content = selection(BETTER)
    content["comparisons"] = [entry | {"split": "confirm"} for entry in content["comparisons"]]
    assert found(content).next_step.startswith("Open the sealed questions")


def test_better_than_some_says_which() -> None:
    finding = found(selection(BETTER | {"all-data": None}))
    assert finding.case is FindingCase.better_than_some
    assert finding.recommends
    assert finding.headline.endswith(
        ": better than everything it was compared with but all data, from which it was not told."
    )
    two = found(selection({"control": 0.1, "baseline": 0.1, "all-data": None, "best-single": None}))
    assert two.headline.endswith(
        ": better than its matched controls and the untrained backbone; not told from all data and the best single "
        "subset."
    )
    assert re.search(r"5\.0 points four times in five takes \d+ questions a target \(now 150\)", finding.next_step)
    assert "cheapest" in found(selection(BETTER | {"all-data": None}, seen=0.03)).next_step


def test_what_is_not_better_than_the_untrained_backbone_is_not_recommended() -> None:
    finding = found(selection(BETTER | {"baseline": None}))
    assert finding.case is FindingCase.better_than_some
    assert not finding.recommends
    assert finding.headline.startswith("No recommendation: the mix is better than its matched controls")
    assert finding.headline.endswith("but not told from the untrained backbone.")


def test_not_told_apart_says_what_would_have_been_seen_and_what_it_takes() -> None:
    finding = found(selection(dict.fromkeys(COMPARED)), num_questions=350)
    assert finding.case is FindingCase.not_told_apart
    assert "a difference of 6.0 points would have been seen" in finding.headline
    assert re.fullmatch(
        r"To see 5\.0 points four times in five takes \d+ questions a target \(now 350\) or \d+ seeds an arm "
        r"\(now 3\)\.",
        finding.next_step,
    )


def test_where_a_small_difference_would_have_been_seen_there_is_nothing_to_find() -> None:
    finding = found(selection(dict.fromkeys(COMPARED), seen=0.03))
    assert finding.next_step.startswith("There is nothing here to find by measuring longer: a difference of 3.0 points")
    assert re.search(r"A search of \d+ trials \(now 24\)", finding.next_step)


def test_where_compositions_do_not_differ_other_sources_are_the_step() -> None:
    finding = found(selection(dict.fromkeys(COMPARED)), worth_sd=0.0)
    assert "the 24 compositions of the search do not differ beyond noise" in finding.next_step
    assert "Bring other sources" in finding.next_step


@pytest.mark.parametrize(
    ("shift_sd", "step"),
    [
        (0.04, r"takes \d+ seeds an arm and \d+ questions a target \(now 3 and 150\)\."),
        (0.3, r"Training noise of 30\.0 points a run hides 5\.0 points even from 20 seeds"),
    ],
)
def test_where_training_noise_hides_everything_both_are_needed(shift_sd: float, step: str) -> None:
    noise = Noise(shift_sd=shift_sd, pairing=0.3, num_arms=9)
    assert re.search(step, found(selection(dict.fromkeys(COMPARED)), noise=noise).next_step)


@pytest.mark.parametrize(
    ("questions", "step"), [(2000, r"takes \d+ seeds an arm \(now 1\)"), (150, r"\(now 1 and 150\)")]
)
def test_one_seed_asks_for_seeds(questions: int, step: str) -> None:
    content = selection(dict.fromkeys(COMPARED), note="one seed an arm: training noise is unknown")
    finding = found(content, num_seeds=1, num_questions=questions)
    assert finding.case is FindingCase.not_told_apart
    assert finding.headline == "No recommendation yet: one training seed an arm cannot show a difference."
    assert "one seed an arm cannot show one" in finding.detail
    assert re.search(step, finding.next_step)


def test_worse_than_doing_nothing() -> None:
    finding = found(selection(dict.fromkeys(COMPARED) | {"baseline": -0.095}))
    assert finding.case is FindingCase.worse_than_untrained
    assert finding.headline == "Do not train on this mix: it is worse than the untrained backbone by 9.5 points."
    assert finding.next_step.startswith("Use the backbone as it is. Bring other sources")
    assert "not even 1000 trials (now 24) are expected to find 9.5 points more" in finding.next_step


def test_worse_than_a_comparator() -> None:
    finding = found(selection(BETTER | {"all-data": -0.02}))
    assert finding.case is FindingCase.worse_than_some
    assert finding.headline == "Do not train on this mix: it is worse than all data by 2.0 points."
    assert re.search(r"A search of \d+ trials \(now 24\) is expected to find 2\.0 points more", finding.next_step)


@pytest.mark.parametrize(
    ("accuracy", "relation"), [(0.447, "is below"), (0.49, "is not above"), (0.52, "is not shown to be above")]
)
def test_not_above_what_is_reached_without_the_image(accuracy: float, relation: str) -> None:
    finding = found(selection(BETTER, accuracies=(accuracy,) * 3))
    assert finding.case is FindingCase.not_above_no_image
    assert finding.headline == (
        f"No recommendation: {100 * accuracy:.1f} % right {relation} the 50.0 % that is reached without looking at an "
        "image."
    )
    assert not finding.recommends
    assert "recombine data check" in finding.next_step
    needed = r"\d+ trials" if accuracy == 0.447 else r"To see 5\.0 points above .* takes \d+ questions a target"
    assert re.search(needed, finding.next_step)


def test_a_target_left_behind_while_the_mean_is_up() -> None:
    finding = found(selection(BETTER, accuracies=(0.93, 0.91, 0.51)))
    assert finding.case is FindingCase.target_left_behind
    assert finding.headline == (
        "Better on average than everything it was compared with, but t3 is not shown to exceed what is reached without "
        "its images (51.0 %; 50.0 % without)."
    )
    assert not finding.recommends
    assert re.search(r"Search for t3 alone, .* takes \d+ questions a target \(now 150\)", finding.next_step)


def test_forgetting() -> None:
    finding = found(selection(BETTER, lost=0.1))
    assert finding.case is FindingCase.forgets
    assert "but it loses 10.0 points on old, which the backbone did well before" in finding.headline
    assert "a loss of 4.0 points is seen four times in five" in finding.next_step


def test_nothing_compared() -> None:
    finding = found(selection({}))
    assert finding.case is FindingCase.nothing_compared
    assert "recombine run STUDY" in finding.next_step


def test_several_cases_hold_and_each_that_warns_is_told() -> None:
    content = selection(BETTER | {"baseline": -0.1, "all-data": -0.05}, accuracies=(0.4, 0.4, 0.4), lost=0.1)
    finding = found(content)
    assert finding.case is FindingCase.worse_than_untrained
    assert finding.also == (
        FindingCase.not_above_no_image, FindingCase.worse_than_some, FindingCase.forgets, FindingCase.better_than_some,
    )  # fmt: skip
    assert len(finding.cautions) == 3
    assert "better than its matched controls" in finding.detail


def test_few_patients_are_told_beside_the_headline() -> None:
    content = selection(BETTER)
    for entry, clusters in zip(content["estimates"]["sealed"], (4.6, 40.0, None, None), strict=True):
        entry |= {"n": 300, "clusters": clusters}
    finding = found(content)
    assert finding.case is FindingCase.better_than_all
    (caution,) = finding.cautions
    assert caution.startswith("Few patients, or images: the questions on sealed count as 4.6 (t1, 300 questions).")
    # Eight questions of eight patients are few questions, which is no matter of patients.
    content["estimates"]["sealed"][0] |= {"n": 8, "clusters": 8.0}
    assert not found(content).cautions


def test_where_patients_are_few_other_patients_are_needed_and_not_seeds_alone() -> None:
    content = selection(dict.fromkeys(COMPARED))
    content["estimates"]["sealed"][0] |= {"n": 350, "clusters": 4.6}
    assert re.fullmatch(
        r"To see 5\.0 points four times in five takes \d+ questions a target, each of another patient or image "
        r"\(now 350\)\.",
        found(content, num_questions=350).next_step,
    )


def test_an_older_selection_is_read_without_numbers() -> None:
    old = selection(BETTER)
    for entry in old["comparisons"]:
        del entry["simultaneous_low"], entry["simultaneous_high"]
    finding = read_finding(old, {})
    assert finding.case is FindingCase.better_than_all
    assert "interval" not in finding.detail
    assert "recombine report" in finding.next_step
    stated = json.loads(json.dumps(old | {"finding": found(selection(BETTER, lost=0.1)).as_dict()}))
    assert read_finding(stated, {}) == found(selection(BETTER, lost=0.1))


verdicts = st.sampled_from([0.1, None, -0.1])


@given(
    st.dictionaries(st.sampled_from(COMPARED), verdicts),
    st.tuples(*[st.floats(0.3, 0.95)] * 3),
    st.sampled_from([None, 0.1]),
)
def test_only_verdicts_make_a_recommendation(
    differences: dict[str, float | None], accuracies: tuple[float, ...], lost: float | None
) -> None:
    finding = found(selection(differences, accuracies=accuracies, lost=lost))
    assert ("Train on" in finding.headline) == finding.recommends
    assert finding.next_step
    if finding.recommends:
        assert differences.get("baseline", 0.1) == 0.1
        assert 0.1 in differences.values()
        assert -0.1 not in differences.values()
        assert lost is None
        assert min(accuracies) - 0.03 > 0.5
    for text in (finding.headline, finding.next_step, *finding.cautions):
        assert text.endswith(".")
