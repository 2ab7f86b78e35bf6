"""Trials that an explanation has asked for: they sharpen an effect, and take no part in search or confirmation."""

from __future__ import annotations

from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.evidence.explain.wanted_trials import read_wanted
from search.vocabulary import Stage

TOP_UP_ARM = "top-up"


def run_top_up(run: StudyRun) -> None:
    """Train what `recombine explain STUDY --sharpen EFFECT` has chosen, scored on `search`; nothing is trained twice.

    Raises:
        UserError: nothing was asked for.
    """
    effect, compositions = read_wanted(run.run_dir)
    run.say(f"top-up: {len(compositions)} trials that sharpen the effect of {effect}")
    run.run_list(
        [
            PlannedTrial(
                spec=run.factory.spec(composition, run.spec.recipe, run.spec.seed, ("search",)),
                stage=Stage.top_up,
                arm=TOP_UP_ARM,
                reason=f"sharpens the effect of {effect}",
            )
            for composition in compositions
        ]
    )
