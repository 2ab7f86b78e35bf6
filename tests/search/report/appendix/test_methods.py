"""What the methods paragraph and the checklists claim is what was done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from search.report.appendix.appendix import compute_appendix
from search.report.appendix.blocks import Table
from search.report.appendix.checklists import CLAIM_2024, NOTHING, checklist_table
from search.report.appendix.methods import (
    confirmation_sentence,
    data_sentence,
    search_sentence,
    statistics_sentence,
    training_sentence,
)
from search.report.appendix.statements import statements
from search.report.run_files import RunRecords


def searched(records: RunRecords, **composition: Any) -> RunRecords:
    space = {"composition": {"sources": ["a", "b"], **composition}}
    return replace(records, study={"strategy": {"name": "random", "num_trials": 40}, "space": space})


def test_the_trials_that_were_proposed_are_counted_and_not_those_that_were_asked_for(records: RunRecords) -> None:
    told = search_sentence(searched(records))
    assert "The strategy random proposed 14 trials over compositions from 2 sources (" in told
    designed = replace(records, study={**searched(records).study, "design": {"kind": "controlled"}})
    assert "proposed" not in statements(designed, {})["subsets"]
    assert "over compositions of at most 480 samples from 2 sources" in search_sentence(searched(records, budget=480))


def test_published_test_files_are_no_draw_and_a_leak_is_no_copy(records: RunRecords) -> None:
    told = data_sentence(records)
    assert "rows of published test files are sealed" in told
    assert "5 rows an image or known patient of which is evaluated in a later split" in told
    assert "a copy" not in told


def test_the_untrained_backbone_is_no_trial_that_was_trained(records: RunRecords) -> None:
    assert training_sentence(records).startswith("Every trained trial fine-tuned")
    assert "the comparators that need training were trained anew" in confirmation_sentence(records)
    further = confirmation_sentence(replace(records, study={"confirm": {"further_seeds": [111, 112]}}))
    assert "the selected one with 111, 112 besides, and compared on the split confirm" in further
    raced = replace(records, study={"confirm": {"racing": True}})
    assert "with fewer of them" in confirmation_sentence(raced)
    assert "with fewer of them" not in confirmation_sentence(records)


@pytest.mark.parametrize(
    ("openings", "caution"),
    [
        ({"sealed_openings": 2}, "The sealed questions were opened 2 times"),
        ({"sealed_opened_before": 3}, "had been opened before by 3 other studies"),
    ],
)
def test_sealed_questions_had_no_part_in_a_choice_only_when_opened_once(
    records: RunRecords, openings: dict[str, int], caution: str
) -> None:
    claim = "sealed had no part in any choice"
    assert claim in confirmation_sentence(records)
    opened = replace(records, run={**records.run, **openings})
    assert claim not in confirmation_sentence(opened)
    assert caution in confirmation_sentence(opened)
    assert caution in statements(opened, {})["limits"]
    assert caution not in statements(records, {})["limits"]


def test_the_level_of_confirm_is_that_of_the_best_of_several(records: RunRecords) -> None:
    def judged(num_finalists: int) -> str:
        selection = {**(records.selection or {}), "alpha": 0.05, "num_finalists": num_finalists}
        return statistics_sentence(replace(records, selection=selection))

    assert "at the level 0.05; on the split confirm the level is divided by the 3 finalists" in judged(3)
    assert judged(1).endswith("at the level 0.05.")


def test_lists_say_nothing_only_where_the_files_do_not_say(records: RunRecords) -> None:
    def stated(of: RunRecords) -> dict[str, str]:
        return {row[0]: row[2] for row in checklist_table("CLAIM", CLAIM_2024, statements(of, {})).rows}

    said = stated(records)
    assert said["38"].startswith("Sensitivity and specificity with 95 % intervals")
    assert "report/findings.json" in said["38"]
    assert "report/trial_classes.parquet" in said["38"]
    assert said["30"].startswith("Accuracy by site with 95 % intervals on the split sealed")
    without = stated(replace(records, findings=None, trial_classes=records.trial_classes.iloc[:0]))
    assert (without["30"], without["38"]) == (NOTHING, NOTHING)


def test_a_table_points_to_intervals_that_are_there(records: RunRecords) -> None:
    def captions(of: RunRecords) -> str:
        return " ".join(block.caption for block in compute_appendix(of, {}) if isinstance(block, Table))

    assert "questions stand in the other tables" in captions(records)
    assert "questions stand in" not in captions(replace(records, selection=None))
