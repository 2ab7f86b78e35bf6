from __future__ import annotations

from search.report.run_files import RunRecords
from search.report.sections.trials import compute_trial_table


def test_every_trial_has_one_row(records: RunRecords) -> None:
    table = compute_trial_table(records)
    assert table.num_trials == records.trials["train_id"].nunique() == len(table.rows)
    assert sum(size for _, size in table.statuses) == table.num_trials
    assert table.splits == ("search", "confirm", "sealed")


def test_failures_are_listed_with_their_status(records: RunRecords) -> None:
    failures = compute_trial_table(records).failures
    assert [row.status.text for row in failures] == ["oom", "diverged"]
    assert all(score.text == "–" for row in failures for score in row.scores)


def test_cells_sort_by_number_not_by_text(records: RunRecords) -> None:
    for row in compute_trial_table(records).rows:
        for cell in (row.train_s, row.gain, row.cg_gain, *row.scores):
            assert isinstance(cell.sort_key, float)
