"""The phase of a study that follows a design."""

from __future__ import annotations

from search.designs.registry import build_rows
from search.designs.trials import design_of, plan_design, unmatched_note
from search.engine.study_run import StudyRun


def run_design(run: StudyRun) -> None:
    """Run the trials of a study's design.

    Raises:
        UserError: the sources allow no row of it.
    """
    section = design_of(run.spec)
    rows = build_rows(run.study, run.train_rows)
    for row in rows:
        for arm in row.arms:
            if arm.composition and (note := unmatched_note(row, arm)):
                run.decide(f"{row.name}: {note}")
    run.run_list(plan_design(rows, section, run.spec, run.factory))
