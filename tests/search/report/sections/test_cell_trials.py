"""The trials that stand behind a cell of the matrix."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from search.report.run_files import RunRecords
from search.report.sections.cell_trials import compute_cell_trials
from search.report.sections.trials import SHORT_ID
from tests.search.report.fixture_run import SUBSETS


def test_every_source_has_its_trial(records: RunRecords) -> None:
    singles = records.trials[records.trials["stage"] == "single"].drop_duplicates("train_id")
    ids = dict(zip(singles["arm"].str.removeprefix("single:"), singles["train_id"].str[:SHORT_ID], strict=True))
    assert compute_cell_trials(records) == {source: [ids[source]] for source in SUBSETS}


def test_only_those_that_the_cell_was_computed_from(records: RunRecords) -> None:
    """Finished ones, of the size and recipe with most seeds, as the matrix itself takes them."""
    source = next(iter(SUBSETS))
    single = records.trials[records.trials["arm"] == f"single:{source}"]
    again = single.assign(train_id="a" * 64, seed=7)
    failed = single.head(1).assign(train_id="b" * 64, seed=8, status="oom", eval_set=None, split=None)
    larger = single.assign(train_id="c" * 64, num_train_samples=480, composition=f'{{"{source}": 480}}')
    other = single.assign(train_id="d" * 64, seed=9, recipe='{"learning_rate": 0.001}')
    trials = pd.concat([records.trials, again, failed, larger, other], ignore_index=True)
    found = compute_cell_trials(replace(records, trials=trials))[source]
    assert found == [single.iloc[0]["train_id"][:SHORT_ID], "a" * SHORT_ID]
