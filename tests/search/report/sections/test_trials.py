from __future__ import annotations

from dataclasses import replace

from search.report.plain_tables import trials_markdown
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


def test_what_trained_on_an_own_key_says_that_it_does_not_count(records: RunRecords) -> None:
    first, *_ = records.targets
    seen = records.trials["train_id"] == records.trials.loc[records.trials["stage"] == "search", "train_id"].iloc[0]
    trials = records.trials.copy()
    trials.loc[seen & (trials["eval_set"] == first), "exposure"] = "in_domain"
    table = compute_trial_table(replace(records, trials=trials))
    said = [row for row in table.rows if row.counts.text.startswith("no")]
    assert [row.counts.text for row in said] == [f"no: own key of {first}"]
    assert all(score.text == "–" for score in said[0].scores)
    assert table.num_not_counted == 1
    assert "own key of" in trials_markdown(table)


def test_settings_that_all_recipes_share_are_said_once(records: RunRecords) -> None:
    trials = records.trials.copy()
    trials["recipe"] = '{"learning_rate":0.005,"num_steps":80}'
    trials.loc[trials["arm"] == "search-3", "recipe"] = '{"learning_rate":0.001,"num_steps":80}'
    table = compute_trial_table(replace(records, trials=trials))
    assert table.common_recipe == "num_steps 80"
    by_arm = {row.arm.text: row.recipe.text for row in table.rows}
    assert (by_arm["search-3"], by_arm["search-2"]) == ("learning_rate 0.001", "learning_rate 0.005")
    assert by_arm["baseline"] == "–"
