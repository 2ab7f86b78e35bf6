"""The untrained backbone, scored once."""

from __future__ import annotations

from datasets_spec.errors import UserError
from search.engine.study_run import StudyRun
from search.vocabulary import Stage, Status


def run_baseline(run: StudyRun) -> None:
    """Score the untrained backbone once; every later trial is compared with it.

    Raises:
        UserError: it could not be scored; no trial could be either.
    """
    planned = run.factory.baseline()
    run.run_list([planned])
    record = run.records(Stage.baseline)[-1]
    if record["status"] != Status.finished:
        raise UserError(
            f"the backbone could not be scored: {record['error'] or record['status']}",
            hint="`recombine doctor` checks the machine; `recombine data check` the data",
        )
