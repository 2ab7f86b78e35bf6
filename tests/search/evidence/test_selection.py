"""The selection calls nothing better that is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError, UserError
from search.evidence.mix_file import load_mix
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection, write_selection
from search.space.composition import Composition
from search.study.run_dir import RunDir
from tests.makers.records import MadeUpStudy

TARGETS = ("ct-lung-nodule", "us-breast-mass")
MIX = {"ct-brain-bleed": 60, "mr-brain-tumor": 40}


def finalist_mix(arm: str) -> dict[str, int]:
    """Another composition for each finalist, all of 100 samples like the controls."""
    rank = int(arm.removeprefix("finalist-")) if arm.startswith("finalist-") else 0
    return {"ct-brain-bleed": 60 - rank, "mr-brain-tumor": 40 + rank}


def study(
    finalists: dict[str, float],
    comparators: dict[str, float],
    *,
    splits: tuple[str, ...] = ("confirm", "sealed"),
    num_seeds: int = 3,
    salt: int = 0,
    num_questions: int = 250,
) -> MadeUpStudy:
    """Finalists and comparators of stated accuracies, and five candidates of a search."""
    made = MadeUpStudy(num_questions=num_questions, seed_sd=0.015)
    for number in range(5):
        composition = {"ct-brain-bleed": 10 + number}
        made.add("search", "search", composition, {(target, "search"): 0.9 for target in TARGETS})
    for stage in splits:
        for seed in range(100 * salt, 100 * salt + num_seeds):
            for arm, accuracy in (finalists | comparators).items():
                places = {(target, stage): accuracy for target in TARGETS}
                composition = {} if arm == "baseline" else finalist_mix(arm)
                if arm == "control":
                    for target in TARGETS:
                        made.add(stage, f"control:{target}", MIX, {(target, stage): accuracy}, seed=seed)
                elif arm != "baseline" or seed == 100 * salt:
                    made.add(stage, arm, composition, places, seed=seed)
    return made


def select(made: MadeUpStudy, groups: Mapping[str, str] | None = None, **options: Any) -> dict[str, Any]:
    outcomes = Outcomes(made.load, groups)
    rules = SelectionRules(targets=TARGETS, objective="mean accuracy", **options)
    return build_selection(made.records, outcomes, rules)


def means(selection: dict[str, Any], split: str) -> dict[str, dict[str, Any]]:
    rows = [c for c in selection["comparisons"] if c["split"] == split and c["eval_set"] == "mean"]
    return {row["comparator"]: row for row in rows}


def test_a_clear_difference_is_found_and_a_worse_arm_admitted() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.95})
    selection = select(made)
    for split in ("confirm", "sealed"):
        rows = means(selection, split)
        assert rows["baseline"]["verdict"] == "better"
        assert rows["control"]["verdict"] == "better"
        assert rows["control"]["difference"] == pytest.approx(0.3, abs=0.05)
        assert rows["all-data"]["verdict"] == "worse"
    assert selection["num_compared"] == 5
    assert selection["composition"] == finalist_mix("finalist-1")
    text = selection["verdict"]
    assert text.startswith("On sealed, over 2 targets: better than its matched controls by ")
    assert "worse than all data" in text
    assert text.endswith("5 candidates were compared in the search.")


def test_equal_arms_are_never_called_different() -> None:
    claims = 0
    for salt in range(6):
        made = study(
            {"finalist-1": 0.6, "finalist-2": 0.6},
            {"control": 0.6, "all-data": 0.6, "random-same-size": 0.6},
            splits=("confirm",),
            salt=salt,
            num_questions=120,
        )
        selection = select(made)
        claims += sum(row["verdict"] != "no difference detected" for row in selection["comparisons"])
        assert "better" not in selection["verdict"]
    # Two families a study (means, single targets) at 5 % each: 0.6 false claims are expected of six studies; how often
    # whole studies claim something is measured by `recombine bench honesty`.
    assert claims <= 2


def test_the_same_trials_under_two_names_show_no_difference() -> None:
    made = study({"finalist-1": 0.7}, {"all-data": 0.7}, splits=("confirm",))
    copies = {r["seed"]: r for r in made.records if r["arm"] == "finalist-1"}
    for record in made.records:
        if record["arm"] == "all-data":
            record |= {k: copies[record["seed"]][k] for k in ("trial_dir", "evaluations")}
    row = means(select(made), "confirm")["all-data"]
    assert row["difference"] == 0.0
    assert row["verdict"] == "no difference detected"
    assert row["minimum_detectable"] > 0


def test_one_seed_cannot_show_a_difference() -> None:
    selection = select(study({"finalist-1": 0.9}, {"control": 0.4, "baseline": 0.3}, num_seeds=1))
    row = means(selection, "sealed")["control"]
    assert row["difference"] > 0.4
    assert row["verdict"] == "no difference detected"
    assert row["note"] == "one seed an arm: training noise is unknown"
    assert (row["simultaneous_low"], row["simultaneous_high"]) == (None, None)
    assert "one seed an arm" in selection["verdict"]


def test_the_best_finalist_on_confirm_is_recommended_whatever_sealed_says() -> None:
    made = study({"finalist-1": 0.5, "finalist-2": 0.75}, {"control": 0.5}, splits=("confirm",))
    for seed in range(3):
        for arm, accuracy in (("finalist-1", 0.95), ("finalist-2", 0.5)):
            places = {(target, "sealed"): accuracy for target in TARGETS}
            made.add("sealed", arm, finalist_mix(arm), places, seed=seed)
    selection = select(made)
    assert selection["arm"] == "finalist-2"
    assert selection["composition"] == finalist_mix("finalist-2")
    assert {c["comparator"] for c in selection["comparisons"]} == {"control"}
    sealed = {e["eval_set"]: e for e in selection["estimates"]["sealed"]}
    assert sealed["mean"]["accuracy"] == pytest.approx(0.5, abs=0.06)


def test_sealed_scores_of_the_same_weights_count_under_any_name() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "all-data": 0.5})
    for record in made.records:
        if record["stage"] == "sealed" and record["arm"] == "finalist-1":
            record["arm"] = "selection"
    assert means(select(made), "sealed")["all-data"]["verdict"] == "better"


def test_the_study_may_choose_the_finalist() -> None:
    made = study({"finalist-1": 0.5, "finalist-2": 0.8}, {"baseline": 0.4}, splits=("confirm",))
    assert select(made, chosen="finalist-1")["arm"] == "finalist-1"
    with pytest.raises(UserError, match="finalist-3 was not scored on confirm"):
        select(made, chosen="finalist-3")


def test_controls_must_match_the_finalist_in_size() -> None:
    made = study({"finalist-1": 0.8}, {"control": 0.5}, splits=("confirm",))
    assert set(means(select(made), "confirm")) == {"control"}
    for record in made.records:
        if record["arm"].startswith("control:"):
            record["num_train_samples"] = 50
    assert select(made)["comparisons"] == []
    assert "Nothing to compare with" in select(made)["verdict"]


def test_the_choice_among_finalists_is_paid_for() -> None:
    one = means(select(study({"finalist-1": 0.7}, {"control": 0.65}, splits=("confirm",))), "confirm")["control"]
    made = study({"finalist-1": 0.7, "finalist-2": 0.4, "finalist-3": 0.4}, {"control": 0.65}, splits=("confirm",))
    three = means(select(made), "confirm")["control"]
    assert one["p_adjusted"] == one["p_value"]
    assert three["p_value"] == one["p_value"]
    assert three["p_adjusted"] == pytest.approx(min(1.0, 3 * three["p_value"]))
    assert three["p_adjusted"] > one["p_adjusted"]
    assert three["minimum_detectable"] > one["minimum_detectable"]


def test_estimates_say_n_seeds_and_interval_and_can_be_recomputed() -> None:
    made = study({"finalist-1": 0.7}, {"control": 0.5}, splits=("confirm",))
    rows = {row["eval_set"]: row for row in select(made)["estimates"]["confirm"]}
    assert set(rows) == {*TARGETS, "mean"}
    for target in TARGETS:
        scores = [
            e["accuracy"]
            for r in made.records
            if r["arm"] == "finalist-1"
            for e in r["evaluations"]
            if e["eval_set"] == target
        ]
        assert rows[target]["accuracy"] == pytest.approx(sum(scores) / 3)
        assert (rows[target]["n"], rows[target]["seeds"]) == (250, 3)
        assert rows[target]["ci_low"] < rows[target]["accuracy"] < rows[target]["ci_high"]
    assert rows["mean"]["accuracy"] == pytest.approx(sum(rows[t]["accuracy"] for t in TARGETS) / 2)
    assert rows["mean"]["n"] == 500


def test_search_scores_confirm_nothing() -> None:
    made = study({}, {"control": 0.5})
    made.add("search", "finalist-1", MIX, {(target, "confirm"): 0.9 for target in TARGETS})
    with pytest.raises(UserError, match="no finalist was scored on confirm"):
        select(made)


def test_known_groups_widen_the_intervals() -> None:
    made = study({"finalist-1": 0.7}, {"control": 0.6}, splits=("confirm",))
    patients = {f"{t}/confirm#{k}": f"p{k // 50}" for t in TARGETS for k in range(250)}
    alone, grouped = (means(select(made, groups=g), "confirm")["control"] for g in (None, patients))
    assert grouped["difference"] == alone["difference"]
    assert grouped["ci_high"] - grouped["ci_low"] != alone["ci_high"] - alone["ci_low"]


def test_files_are_written_and_the_mix_loads_again(tmp_path: Path) -> None:
    selection = select(study({"finalist-1": 0.7}, {"control": 0.5, "baseline": 0.4}))
    assert selection == select(study({"finalist-1": 0.7}, {"control": 0.5, "baseline": 0.4}))
    json_path, mix_path = write_selection(RunDir(tmp_path), selection, order_seed=3, store_fingerprint="f" * 64)
    assert json.loads(json_path.read_text()) == selection
    mix = load_mix(mix_path)
    assert mix.composition == Composition(selection["composition"])
    assert (mix.order_seed, mix.store_fingerprint) == (3, "f" * 64)
    mix_path.write_text(mix_path.read_text().replace("rows: 59", "rows: 0"))
    with pytest.raises(SpecError, match=r"mix\.yaml:\d+"):
        load_mix(mix_path)


def test_a_target_that_was_seen_in_few_shots_is_not_passed_off_as_composing() -> None:
    made = study({"finalist-1": 0.8}, {"control": 0.5}, splits=("confirm",))
    assert "compositional" not in select(made)["verdict"]
    for record in made.records:
        if record["arm"] == "finalist-1":
            record["evaluations"][0]["exposure"] = "few_shot"
    selection = select(made)
    assert selection["exposures"] == {"ct-lung-nodule": "few_shot", "us-breast-mass": "held_out"}
    assert "Not compositional generalisation" in selection["verdict"]
    assert "ct-lung-nodule (few_shot)" in selection["verdict"]


def test_the_selection_states_what_was_found_and_what_to_do_next() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.8})
    finding = select(made)["finding"]
    assert (finding["case"], finding["recommends"]) == ("better_than_some", True)
    assert finding["headline"].startswith("Train on 59 samples of ct-brain-bleed and 41 samples of mr-brain-tumor: ")
    assert "(now 3 and 250)" in finding["next_step"]
    shortcut = select(made, no_image={"sealed": {"ct-lung-nodule": 0.79, "us-breast-mass": 0.9}})["finding"]
    assert shortcut["case"] == "not_above_no_image"
    assert not shortcut["recommends"]
    behind = select(made, no_image={"sealed": {"ct-lung-nodule": 0.5, "us-breast-mass": 0.81}})["finding"]
    assert behind["case"] == "target_left_behind"
    assert "us-breast-mass" in behind["headline"]


def test_accuracy_stands_beside_what_is_reached_without_images_on_the_same_questions() -> None:
    made = study({"finalist-1": 0.85}, {"baseline": 0.5, "control": 0.5, "all-data": 0.6})
    for confirm, sealed, case in ((0.5, 0.92, "not_above_no_image"), (0.92, 0.5, "better_than_all")):
        known = {"confirm": dict.fromkeys(TARGETS, confirm), "sealed": dict.fromkeys(TARGETS, sealed)}
        assert select(made, no_image=known)["finding"]["case"] == case
    unopened = study({"finalist-1": 0.85}, {"baseline": 0.5, "control": 0.5}, splits=("confirm",))
    assert select(unopened, no_image=known)["finding"]["case"] == "not_above_no_image"
    before = select(made, no_image={"confirm": dict.fromkeys(TARGETS, 0.92), "sealed": {}})  # a study of before
    assert before["finding"]["case"] == "not_above_no_image"


ASKED = ("baseline", "control", "all-data", "best-single")


def test_what_was_asked_for_and_not_compared_is_told_and_recommended_only_once_the_study_has_ended() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.5})
    for record in made.records:
        if record["arm"] == "all-data":
            record |= {"status": "oom", "evaluations": []}
    made.records.append({"kind": "decision", "text": "comparator best-single: there is none in this study"})
    made.records.insert(0, {"kind": "ended"})  # of its search, before the confirmation was switched on
    going_on = select(made, comparators=ASKED)["finding"]
    assert (going_on["case"], going_on["recommends"]) == ("comparison_unfinished", False)
    assert going_on["headline"] == (
        "No recommendation yet: the mix has still to be compared with all data and the best single subset."
    )
    assert "recombine run STUDY" in going_on["next_step"]
    made.records.append({"kind": "ended"})
    ended = select(made, comparators=ASKED)["finding"]
    assert (ended["case"], ended["recommends"]) == ("better_than_all", True)
    assert ended["headline"].endswith(
        ": better than everything it was compared with, which leaves out all data and the best single subset."
    )
    assert ended["cautions"] == [
        "Asked for and not compared: all data (6 trials failed) and the best single subset (there is none in this "
        "study)."
    ]


def test_a_comparator_that_is_the_selection_itself_is_not_missing() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.5})
    made.records.append({"kind": "decision", "text": "comparator best-single: it is the selection itself"})
    selection = select(made, comparators=ASKED)
    assert selection["not_compared"] == selection["finding"]["cautions"] == []
    assert selection["finding"]["recommends"]


def test_the_reason_for_a_missing_comparator_is_what_was_decided_last_of_it() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.5})
    stays, refused = "it stays ct-lung:9, as its confirmation began", "refused, it trains on the own key of ct-lung"
    for what in ("it is the selection itself, us-heart:100", stays, refused):
        made.records.append({"kind": "decision", "text": f"comparator best-single: {what}"})
    made.records.append({"kind": "ended"})
    caution = "Asked for and not compared: the best single subset ({})."
    assert select(made, comparators=ASKED)["finding"]["cautions"] == [caution.format(refused)]
    # Another is selected since the last decision, and nothing was decided of it: it is a reason no more.
    made.records[-3:] = [{"kind": "ended"}]
    assert select(made, comparators=ASKED)["finding"]["cautions"] == [caution.format("not scored")]


def test_a_comparator_that_was_the_selection_of_an_earlier_start_is_missing_where_it_failed_since() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4, "control": 0.5, "all-data": 0.5, "best-single": 0.5})
    for record in made.records:
        if record["arm"] == "best-single":
            record |= {"status": "oom", "evaluations": []}
    made.records.append(
        {"kind": "decision", "text": "comparator best-single: it is the selection itself, us-heart:100"}
    )
    made.records.append({"kind": "ended"})
    finding = select(made, comparators=ASKED)["finding"]
    assert finding["headline"].endswith("compared with, which leaves out the best single subset.")
    assert finding["cautions"] == ["Asked for and not compared: the best single subset (6 trials failed)."]
    mix = Composition(finalist_mix("finalist-1"))
    made.records.append({"kind": "decision", "text": f"comparator best-single: it is the selection itself, {mix}"})
    assert select(made, comparators=ASKED)["finding"]["cautions"] == []


def test_what_is_worse_than_the_untrained_backbone_is_not_recommended() -> None:
    made = study({"finalist-1": 0.5}, {"baseline": 0.7, "control": 0.5})
    selection = select(made)
    assert selection["finding"]["case"] == "worse_than_untrained"
    assert "Train on" not in selection["finding"]["headline"]
    assert selection["verdict"].startswith(selection["finding"]["detail"])


def test_intervals_beside_verdicts_are_those_of_all_comparisons_together() -> None:
    made = study({"finalist-1": 0.7}, {"control": 0.6, "baseline": 0.5, "all-data": 0.7})
    for row in select(made)["comparisons"]:
        assert row["num_judged_together"] == (3 if row["eval_set"] == "mean" else 6)
        assert row["simultaneous_low"] < row["ci_low"] < row["ci_high"] < row["simultaneous_high"]
        excludes_zero = not row["simultaneous_low"] <= 0 <= row["simultaneous_high"]
        assert excludes_zero == (row["verdict"] != "no difference detected") == (row["p_adjusted"] < 0.05)


def test_luck_of_the_search_hangs_on_no_order_in_which_trials_ended() -> None:
    made = study({"finalist-1": 0.8}, {"baseline": 0.4})
    for number, record in enumerate(made.records[:5]):
        record["proposal_index"] = number
    found = select(made)["optimism"]["search"]
    made.records[:5] = reversed(made.records[:5])
    assert select(made)["optimism"]["search"] == found
