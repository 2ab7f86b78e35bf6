from __future__ import annotations

from pathlib import Path

from search.report.figures.heatmap import compute_transfer_heatmap
from search.report.plain_tables import transfer_latex, transfer_markdown, trials_markdown
from search.report.run_files import RunRecords, load_run
from search.report.sections.trials import compute_trial_table
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


def test_markdown_has_a_row_for_each_source(records: RunRecords) -> None:
    heatmap = compute_transfer_heatmap(records)
    lines = transfer_markdown(heatmap).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(heatmap.sources)
    assert {line.count(" | ") for line in rows} == {len(heatmap.targets)}
    assert "n 200 to 200" in transfer_markdown(heatmap)


def test_trials_markdown_lists_every_trial(records: RunRecords) -> None:
    table = compute_trial_table(records)
    assert trials_markdown(table).count("\n| ") == 2 + table.num_trials


def test_names_cannot_break_the_tables(tmp_path: Path) -> None:
    hostile = "a|b<script>_x & 5% $y$ \\input{z}"
    heatmap = compute_transfer_heatmap(load_run(RunDir(write_run(tmp_path / "run", rename={"ct-brain-size": hostile}))))
    markdown, latex = transfer_markdown(heatmap), transfer_latex(heatmap)
    assert "<script>" not in markdown.replace("\\<", "")
    assert "a\\|b" in markdown
    assert "\\input{" not in latex
    assert "5\\% \\$y\\$" in latex
    body = [line for line in latex.splitlines() if line.endswith(" \\\\")]
    assert {line.replace("\\&", "").count(" & ") for line in body} == {len(heatmap.targets)}
