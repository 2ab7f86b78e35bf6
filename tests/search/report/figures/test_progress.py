from __future__ import annotations

import pandas as pd
import pytest

from search.report.figures.progress import compute_search_progress
from search.report.run_files import RunRecords


def _with_trials(records: RunRecords, trials: pd.DataFrame) -> RunRecords:
    return RunRecords(
        run_dir=records.run_dir,
        run=records.run,
        study=records.study,
        selection=None,
        trials=trials,
        transfer=records.transfer,
        missing=(),
    )


def test_every_proposal_is_there_and_the_best_never_falls(records: RunRecords) -> None:
    progress = compute_search_progress(records)
    assert progress.proposals["proposal"].tolist() == list(range(14))
    assert progress.proposals["best"].is_monotonic_increasing
    assert progress.proposals["best"].iloc[-1] == progress.proposals["accuracy"].max()


def test_failed_proposals_stay_without_a_score(records: RunRecords) -> None:
    progress = compute_search_progress(records)
    unscored = progress.proposals[progress.proposals["accuracy"].isna()]
    assert unscored["status"].tolist() == ["oom", "diverged"]
    assert progress.num_unscored == 2


def test_order_is_by_proposal_not_by_arrival(records: RunRecords) -> None:
    shuffled = records.trials.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        compute_search_progress(_with_trials(records, shuffled)).proposals, compute_search_progress(records).proposals
    )


def test_without_proposal_numbers_the_ledger_order_stands_in(records: RunRecords) -> None:
    progress = compute_search_progress(_with_trials(records, records.trials.assign(proposal_index=None)))
    assert not progress.is_ordered
    assert progress.proposals["proposal"].tolist() == list(range(14))


def test_a_failure_before_the_first_score_has_no_best(records: RunRecords) -> None:
    searched = records.trials[records.trials["proposal_index"] >= 9]
    progress = compute_search_progress(_with_trials(records, searched))
    assert pd.isna(progress.proposals["best"].iloc[0])
    assert progress.baseline is None
    assert progress.proposals["best"].iloc[1] == pytest.approx(progress.proposals["accuracy"].iloc[1])
