"""Best sources and their ties, as the page says them."""

from __future__ import annotations

from dataclasses import replace

from search.evidence.matrix.best_sources import Standing
from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.run_files import RunRecords
from search.report.sections.best_sources import BEST_COLUMNS, compute_best_sources
from tests.search.report.fixture_run import SUBSETS, TARGETS


def test_each_target_has_its_best_source_with_ties(records: RunRecords) -> None:
    rows = compute_best_sources(compute_transfer_heatmap(records))
    assert {row[0] for row in rows} == set(TARGETS)
    names = list(SUBSETS)
    for row in rows:
        named = dict(zip(BEST_COLUMNS, row, strict=True))
        assert named["best source"] == names[2]
        assert named["ties"] == ", ".join(sorted(names[place] for place in (0, 1, 3, 4)))


def test_many_ties_are_counted_and_unknown_ones_are_not_called_ties(records: RunRecords) -> None:
    transfer = records.transfer.copy()
    behind = transfer["standing"] != Standing.best
    transfer.loc[behind, "standing"] = Standing.tied.value
    (row, *_) = compute_best_sources(compute_transfer_heatmap(replace(records, transfer=transfer)))
    assert row[-1].endswith("and 1 other")
    transfer.loc[behind, "standing"] = Standing.unknown.value
    (row, *_) = compute_best_sources(compute_transfer_heatmap(replace(records, transfer=transfer)))
    assert row[-1] == "not known: no training was repeated"


def test_a_matrix_of_a_version_before_has_none(records: RunRecords) -> None:
    transfer = records.transfer.assign(standing="")
    assert compute_best_sources(compute_transfer_heatmap(replace(records, transfer=transfer))) == ()
