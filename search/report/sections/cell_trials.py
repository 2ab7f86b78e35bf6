"""The trials behind a row of the transfer matrix."""

from __future__ import annotations

from search.evidence.matrix.single_sources import singles_by_source
from search.report.run_files import RunRecords
from search.report.sections.trials import SHORT_ID
from search.report.wording import as_mapping, is_number
from search.vocabulary import Stage

NUMBERS = ("seed", "num_train_samples", "num_steps")  # missing somewhere, a column of them is read as floats


def compute_cell_trials(records: RunRecords) -> dict[str, list[str]]:
    """The trials that the cells of each source were computed from, by the short identity that their rows have.

    Args:
        records: A run's files.
    """
    rows = records.trials[records.trials["stage"] == Stage.single].drop_duplicates("train_id")
    trials = [
        {
            **{str(name): value for name, value in row.items()},
            **{name: as_mapping(row[name]) for name in ("composition", "recipe")},
            **{name: int(row[name]) if is_number(row[name]) else None for name in NUMBERS},
        }
        for row in rows.to_dict("records")
    ]
    return {
        source: [str(trial["train_id"])[:SHORT_ID] for trial in singles]
        for source, singles in singles_by_source(trials).items()
    }
