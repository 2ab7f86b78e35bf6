"""What more questions, seeds or trials would show, from a study's own noise: the numbers of a next step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from search.evidence.confirmation.comparisons import Comparison
from search.evidence.finding.measured_noise import measured_prospects
from search.evidence.outcomes import Outcomes
from search.ledger.records import Record, scored_on
from search.statistics.power import (
    ASSUMED_WORTH_SD,
    MOST_SEEDS,
    Noise,
    expected_gain,
    questions_needed,
    seeds_needed,
    trial_noise,
    trials_needed,
)

# A difference that is worth more work, as a share: twice what one run differs from the next by training noise alone
# (2.8 points, docs/benchmarks.md). `recombine plan STUDY --detect 3` answers for 3.
WORTH_SEEING = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospects:
    """A study as the power formula sees it.

    Attributes:
        noise: of its trials.
        worth_sd: standard deviation of what its compositions are worth, as a share; None where its search does not
            tell, then the usual one is assumed.
        num_trials: scored by its search.
        num_search_questions: of a target, that guided the search.
        num_targets: over which the mean is taken.
        num_seeds: of the compared arms.
        num_questions: of a target, that the verdict rests on.
        num_comparisons: judged together.
    """

    noise: Noise
    worth_sd: float | None
    num_trials: int
    num_search_questions: int
    num_targets: int
    num_seeds: int
    num_questions: int
    num_comparisons: int

    @property
    def judged_alone(self) -> Prospects:
        """The same for a single comparison over all targets."""
        return replace(self, num_comparisons=1)

    @property
    def on_one_target(self) -> Prospects:
        """The same for one target alone, judged alone."""
        return replace(self, num_targets=1, num_comparisons=1)

    def questions_to_see(self, difference: float = WORTH_SEEING, *, now_seen: float = 0.0) -> int | None:
        """Questions of a target that show a difference with the study's own seeds; None where no number does.

        Args:
            difference: to be seen, as a share.
            now_seen: what the study's comparisons say that they see; errors shrink with the root of the number at best.
        """
        found = self._questions_with(max(2, self.num_seeds), difference)
        return None if found is None else max(found, _at_least(self.num_questions, now_seen / difference))

    def seeds_to_see(self, difference: float = WORTH_SEEING, *, now_seen: float = 0.0) -> int | None:
        """Seeds of each arm that show a difference with the study's own questions; None where no number does.

        Args:
            difference: to be seen, as a share.
            now_seen: as in `questions_to_see`.
        """
        found = seeds_needed(
            self.noise,
            difference,
            num_questions=self.num_questions,
            num_targets=self.num_targets,
            num_comparisons=self.num_comparisons,
        )
        if found is None:
            return None
        number = max(found, _at_least(self.num_seeds, now_seen / difference)) if self.num_seeds > 1 else found
        return number if number <= MOST_SEEDS else None

    def both_to_see(self, difference: float = WORTH_SEEING) -> tuple[int, int] | None:
        """Seeds and questions that show a difference together, with the fewest answers in all; None where none do."""
        ways = [(seeds, self._questions_with(seeds, difference)) for seeds in range(2, MOST_SEEDS + 1)]
        found = [(seeds, questions) for seeds, questions in ways if questions is not None]
        return min(found, key=lambda way: way[0] * way[1], default=None)

    def _questions_with(self, num_seeds: int, difference: float) -> int | None:
        return questions_needed(
            self.noise,
            difference,
            num_seeds=num_seeds,
            num_targets=self.num_targets,
            num_comparisons=self.num_comparisons,
        )

    @property
    def has_spread(self) -> bool:
        """Whether compositions were told apart from each other, or nobody has looked."""
        return self.worth_sd is None or self.worth_sd > 0

    def trials_to_gain(self, more: float) -> int | None:
        """Trials of a search whose best is expected to be worth `more` than this one's; None beyond a thousand."""
        spread = ASSUMED_WORTH_SD if self.worth_sd is None else self.worth_sd
        noise_sd = trial_noise(self.noise, num_questions=self.num_search_questions, num_targets=self.num_targets)
        now = expected_gain(self.num_trials, worth_sd=spread, noise_sd=noise_sd)
        return trials_needed(now + more, worth_sd=spread, noise_sd=noise_sd)


def _at_least(now: int, times_smaller: float) -> int:
    """The number with which an error that is all of this kind would be so many times smaller."""
    return math.ceil(now * times_smaller**2)


def compute_prospects(
    trials: Sequence[Record],
    outcomes: Outcomes,
    targets: Sequence[str],
    *,
    arm_sizes: Sequence[int],
    leading: Sequence[Comparison],
    num_trials: int,
) -> Prospects:
    """A study's prospects from its finished trials.

    Args:
        trials: the ledger's trial records.
        outcomes: their per-question outcomes.
        targets: the evaluation sets of the objective.
        arm_sizes: questions of each target that the verdict rests on.
        leading: the comparisons that it rests on; none where nothing was compared.
        num_trials: different candidates that the search scored.
    """
    noise, worth_sd = measured_prospects(trials, outcomes, targets)
    scored = [e["n"] for record in trials for t in targets if (e := scored_on(record, t, "search")) is not None]
    return Prospects(
        noise=noise,
        worth_sd=worth_sd,
        num_trials=num_trials,
        num_search_questions=min(scored, default=min(arm_sizes)),
        num_targets=len(targets),
        num_seeds=leading[0].paired.num_seeds[0] if leading else 1,
        num_questions=max(1, round(len(arm_sizes) / sum(1 / n for n in arm_sizes))),  # variances add: harmonic mean
        num_comparisons=leading[0].judgement.num_together if leading else 1,
    )
