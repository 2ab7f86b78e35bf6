from __future__ import annotations

from dataclasses import replace

from search.report.run_files import RunRecords
from search.report.sections.data import compute_data_table


def test_subsets_rows_and_quarantine(records: RunRecords) -> None:
    table = compute_data_table(records)
    assert len(table.subsets) == 11
    assert table.row_columns == ("train", "search", "confirm", "sealed")
    assert table.reasons == ("missing_image", "image_truncated", "answer_not_in_options")
    assert table.num_quarantined == 11
    row = next(subset for subset in table.subsets if subset.name == "mri-brain-presence")
    assert row.rows == ("600", "200", "200", "200")
    assert (row.quarantined, row.reasons) == ("4", ("0", "3", "1"))
    assert row.roles == "source"
    assert (row.duplicates, row.leaked, row.patients) == ("0", "0", "unknown")
    leaky = next(subset for subset in table.subsets if subset.name == "ct-brain-size")
    assert leaky.leaked == "5"


def test_a_target_that_is_an_ability_says_both(records: RunRecords) -> None:
    row = next(subset for subset in compute_data_table(records).subsets if subset.name == "ct-brain-temporal")
    assert row.roles == "target, ability"
    assert row.ability == "temporal"


def test_patients_known_in_part_are_told_with_their_number(records: RunRecords) -> None:
    subsets = {name: {**record, "rows_with_patient": 1000} for name, record in records.run["subsets"].items()}
    table = compute_data_table(replace(records, run={**records.run, "subsets": subsets}))
    row = next(subset for subset in table.subsets if subset.name == "mri-brain-presence")
    assert row.patients == "known for 1\u202f000 rows"
