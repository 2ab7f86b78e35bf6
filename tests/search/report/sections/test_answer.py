from __future__ import annotations

import json
from pathlib import Path

from search.report.run_files import RunRecords, load_run
from search.report.sections.answer import compute_answer
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run


def test_the_answer_names_the_mix_and_how_sure_it_is(records: RunRecords) -> None:
    answer = compute_answer(records)
    assert answer.headline == records.selection["finding"]["headline"]  # type: ignore[index]
    assert answer.headline.startswith("Better on the targets than everything it was compared with but all data, but")
    assert answer.headline.endswith("but it loses 10.0 points on xray-lung-size, which the backbone did well before.")
    assert not answer.recommends
    assert "67.5\u00a0% correct" in answer.lead
    assert "64.5 to 70.5" in answer.lead
    assert "n = 600, 3 seeds" in answer.lead
    assert answer.state == "sealed"
    assert answer.total == "480"
    assert answer.cautions == ()


def test_no_difference_says_what_could_have_been_seen(records: RunRecords) -> None:
    verdict = next(verdict for verdict in compute_answer(records).verdicts if verdict.comparator == "All data")
    assert verdict.tone == "same"
    assert verdict.word == "no difference detected"
    assert verdict.detail.startswith("could have seen 4.1 points; measured +1.2")


def test_a_comparison_with_one_seed_says_what_is_unknown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run / "selection" / "selection.json"
    selection = json.loads(path.read_text())
    note = {
        "verdict": "no difference detected",
        "note": "one seed an arm: training noise is unknown",
        "p_adjusted": None,
    }
    selection["comparisons"] = [{**selection["comparisons"][0], **note, "minimum_detectable": 0.01, "seeds": [1, 1]}]
    path.write_text(json.dumps(selection))
    (verdict,) = compute_answer(load_run(RunDir(run))).verdicts
    assert verdict.detail.startswith("one seed an arm: training noise is unknown; measured")
    assert "could have seen" not in verdict.detail
    assert (verdict.seeds, verdict.p_value) == ("1 and 1", "–")


def test_leading_verdicts_are_of_the_mean_on_sealed(records: RunRecords) -> None:
    verdicts = compute_answer(records).verdicts
    assert {(verdict.eval_set, verdict.split) for verdict in verdicts} == {("mean", "sealed")}
    assert len(verdicts) == 5


def test_worse_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run / "selection" / "selection.json"
    selection = json.loads(path.read_text())
    entry = {"difference": -0.08, "simultaneous_low": -0.12, "simultaneous_high": -0.04, "verdict": "worse"}
    selection["comparisons"] = [{**selection["comparisons"][0], **entry}]
    path.write_text(json.dumps(selection))
    (verdict,) = compute_answer(load_run(RunDir(run))).verdicts
    assert (verdict.tone, verdict.word) == ("worse", "worse by 8.0 points")
    assert "−12.0 to −4.0" in verdict.detail


def test_without_sealed_the_reader_is_warned(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run / "selection" / "selection.json"
    selection = json.loads(path.read_text())
    del selection["estimates"]["sealed"]
    path.write_text(json.dumps(selection))
    answer = compute_answer(load_run(RunDir(run)))
    assert answer.state == "confirm"
    assert any("have not been opened" in caution for caution in answer.cautions)


def test_several_openings_are_a_caution(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "sealed_openings": 3}))
    assert any("opened 3 times" in caution for caution in compute_answer(load_run(RunDir(run))).cautions)


def test_without_a_selection_the_best_of_the_search_is_provisional(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "selection" / "selection.json").unlink()
    answer = compute_answer(load_run(RunDir(run)))
    assert answer.headline == "No selection yet."
    assert answer.state == "search"
    assert answer.parts
    assert not answer.verdicts
    assert any("overstates" in caution for caution in answer.cautions)
