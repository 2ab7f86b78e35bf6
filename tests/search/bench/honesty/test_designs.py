"""Simulated designs: their rows share what they say they share, and nothing is claimed where nothing is."""

from __future__ import annotations

import pytest

from search.bench.honesty.designs import DESIGN_SCENARIOS, NUM_TARGETS, ROWS_OF_TARGET, DesignScenario, judged_design
from search.statistics.verdicts import Verdict


@pytest.mark.parametrize("scenario", DESIGN_SCENARIOS)
def test_a_design_is_a_pure_function_of_its_seed_and_claims_nothing(scenario: DesignScenario) -> None:
    table = judged_design(scenario, 3, seed_sd=0.028)
    assert table == judged_design(scenario, 3, seed_sd=0.028)
    judged_design(scenario, 101, seed_sd=0.028)  # a seed of the confirmation, which a study's own must not be
    claims = [contrast for contrast in table.contrasts if contrast.is_claim]
    assert len(claims) == NUM_TARGETS * ROWS_OF_TARGET
    assert {contrast.verdict for contrast in claims} == {Verdict.no_difference_detected}
    controls = {(score.row[:2], score.accuracy) for score in table.scores if score.arm == "control"}
    assert len(controls) == NUM_TARGETS  # one on each target, whatever the row


def test_a_training_that_targets_share_moves_its_answers_on_all_of_them() -> None:
    """With nothing but training noise, what rows of one name find differs less between targets."""

    def spread(scenario: DesignScenario) -> float:
        table = judged_design(scenario, 1, seed_sd=0.3)
        found = [[c.difference for c in table.contrasts if c.is_claim and c.row.endswith(f"-{k}")] for k in range(4)]
        return sum(max(values) - min(values) for values in found)

    assert spread("design-shared-training") < 0.6 * spread("design-shared-control")
