"""The appendix of a study: each number is in a data file, tables are recomputed, nothing breaks LaTeX."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import pandas as pd
import pytest

from search.designs.table import DesignTable
from search.report.appendix.appendix import appendix_texts, compute_appendix
from search.report.appendix.blocks import Table, as_latex
from search.report.appendix.checklists import CLAIM_2024, TRIPOD_LLM
from search.report.appendix.results_tables import arms_over_seeds, over_seeds, results_table
from search.report.run_files import RunRecords, load_run
from search.report.wording import percent, points
from search.study.run_dir import RunDir, RunFile
from tests.makers.finished_run import finished_study
from tests.search.report.fixture_run import RECIPE, TARGETS, write_run
from tests.search.results.test_page_numbers import NUMBER, OF_SENTENCES, stored_values, written_forms

# Names and addresses of the forms, how deviations are written, and hours that trials took together.
OF_FORMS = {"2024", "10.1148", "10.1038"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A study with ledger, answers and facts, as `recombine run` leaves it."""
    return finished_study(tmp_path_factory.mktemp("appendix"), {"confirm.seeds": [101]})[1]


def tables_of(records: RunRecords) -> list[Table]:
    return [block for block in compute_appendix(records, {}) if isinstance(block, Table)]


def scores(frame: pd.DataFrame, split: str, eval_set: str, composition: dict[str, int]) -> list[float]:
    """Straight from trials.parquet: the accuracies of the trials with a composition, one a seed."""
    wanted = frame[(frame["split"] == split) & (frame["eval_set"] == eval_set) & (frame["stage"] == split)]
    rows = wanted[[json.loads(text) == composition for text in wanted["composition"]]]
    return [float(value) for value in rows.sort_values("seed")["accuracy"]]


def test_mean_and_deviation_are_those_of_trials_parquet(finished_run: Path, records: RunRecords) -> None:
    frame = pd.read_parquet(finished_run / "report/trials.parquet")
    composition = json.loads((finished_run / "selection/selection.json").read_text())["composition"]
    for split in ("confirm", "sealed"):
        table = results_table(records, split)
        assert table is not None
        selected = dict(zip(table.head, table.rows[0], strict=True))
        assert selected["arm"] == "Selected"
        by_set = [scores(frame, split, target, composition) for target in TARGETS]
        for target, found in zip(TARGETS, by_set, strict=True):
            mean, deviation = 100 * sum(found) / len(found), 100 * stdev(found)
            assert selected[f"{target} (n = 200)"] == f"{mean:.1f} ± {deviation:.1f}"
        means = [sum(of_seed) / len(TARGETS) for of_seed in zip(*by_set, strict=True)]
        assert selected["mean"] == f"{100 * sum(means) / 3:.1f} ± {100 * stdev(means):.1f}"
        assert selected["seeds"] == "3"


def test_a_deviation_takes_two_seeds(records: RunRecords) -> None:
    assert over_seeds([0.5]).text == "50.0"
    assert over_seeds([0.5, 0.6]).text == "55.0 ± 7.1"
    for split in ("confirm", "sealed"):
        for arm, by_set in arms_over_seeds(records, split).items():
            for figure in by_set.values():
                assert (figure.deviation is None) == (figure.num_seeds < 2)
                assert ("±" in figure.text) == (arm != "Untrained")


def test_estimates_and_comparisons_are_those_of_the_selection(finished_run: Path, records: RunRecords) -> None:
    selection = json.loads((finished_run / "selection/selection.json").read_text())
    by_caption = {table.caption.split(",")[0].split(".")[0]: table for table in tables_of(records)}
    estimates = by_caption["Accuracy of the selected composition"].rows
    wanted = {
        (e["eval_set"], split, percent(e["accuracy"]), f"{100 * e['ci_low']:.1f} to {100 * e['ci_high']:.1f}")
        for split, entries in selection["estimates"].items()
        for e in entries
    }
    assert {(row[0], row[1], row[4], row[5]) for row in estimates} == wanted
    compared = by_caption["Selected composition minus comparator"].rows
    assert [(row[1], row[2], row[3], row[6]) for row in compared] == [
        (c["eval_set"], c["split"], points(c["difference"]), c["verdict"]) for c in selection["comparisons"]
    ]


def deviations(frame: pd.DataFrame) -> Iterator[Any]:
    """Of every arm's scores, and of their means over targets, each by split."""
    for _, rows in frame[frame["accuracy"].notna()].groupby(["split", "arm", "composition"]):
        for _, of_set in rows.groupby("eval_set"):
            yield from (of_set["accuracy"].mean(), of_set["accuracy"].std())
        means = rows.groupby("seed")["accuracy"].mean()
        yield from (means.mean(), means.std())
    yield frame.drop_duplicates("train_id")["train_s"].sum() / 3600


def test_each_number_of_the_appendix_is_in_a_data_file(finished: RunDir) -> None:
    facts = json.loads((finished / RunFile.facts).read_text())
    frame = pd.read_parquet(finished / RunFile.trials_table)
    run = json.loads((finished / RunFile.run).read_text())
    rows = [sum(subset["rows"].get("train", 0) for subset in run["subsets"].values())]
    selection = json.loads((finished / RunFile.selection).read_text())
    counted = [*rows, sum(c["verdict"] == "no difference detected" for c in selection["comparisons"])]
    values = [*stored_values(finished), *deviations(frame), *counted, *facts["environment"]["versions"].values()]
    known = {form for value in values for form in written_forms(value)} | OF_SENTENCES | OF_FORMS
    text = (finished / RunFile.appendix_markdown).read_text(encoding="utf-8")
    body = re.sub(r"(?m)^\| \d+ (?=\|)", "| ", text)  # numbers of items
    body = re.sub(r"As in item \d+\.", "", body).replace("\u202f", "").replace("\\", "")
    shown = {found[0].lstrip("+−-") for found in NUMBER.finditer(body)}
    assert len(shown) > 25
    assert shown - known == set()


def test_lists_have_every_item_once_and_claim_no_compliance(finished: RunDir) -> None:
    assert [item.number for item in CLAIM_2024] == list(range(1, 45))
    assert [item.number for item in TRIPOD_LLM] == list(range(1, 20))
    assert all(item.to_fill for item in (*CLAIM_2024, *TRIPOD_LLM))
    text = (finished / RunFile.appendix_markdown).read_text(encoding="utf-8")
    assert not re.search(r"compl(y|ies|iant|iance)|adher|conform|fulfil", text, flags=re.IGNORECASE)
    assert "no statement that a form's requirements are met" in text
    claim = next(table for table in tables_of(load_run(finished)) if table.caption.startswith("CLAIM"))
    stated = {row[0]: row[2] for row in claim.rows}
    assert stated["13"].startswith("Nothing")
    assert "1 of 1" not in stated["7"]
    assert "licence is stated for 0 of them" in stated["7"]


def test_licences_come_from_the_facts(finished: RunDir, tmp_path: Path) -> None:
    shutil.copytree(finished.root, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / RunFile.facts).read_text())
    facts["subsets"]["ct-lung"]["licence"] = "CC-BY_4.0 & more"
    (tmp_path / "run" / RunFile.facts).write_text(json.dumps(facts))
    markdown, latex = appendix_texts(load_run(RunDir(tmp_path / "run")))
    assert "CC-BY\\_4.0 & more" in markdown
    assert "CC-BY\\_4.0 \\& more" in latex
    assert "the licence is stated for 1 of them" in latex


def test_names_cannot_break_the_latex(tmp_path: Path) -> None:
    hostile = "a_b & 5% $y$ \\input{z} #1"
    records = load_run(RunDir(write_run(tmp_path / "run", rename={"ct-brain-size": hostile, "mri-brain-size": "t_%"})))
    latex = appendix_texts(records)[1]
    assert "\\input{z" not in latex
    assert "t\\_\\%" in latex
    body = re.sub(r"(?m)^%.*$", "", latex)
    assert not re.search(r"(?<!\\)[%#]", body)
    assert not re.search(r"(?<!\\)_", body)
    unescaped = re.sub(r"\\[{}]", "", body)
    assert unescaped.count("{") == unescaped.count("}")
    for table in re.findall(r"\\begin\{longtable\}.*?\\end\{longtable\}", body, flags=re.DOTALL):
        lines = [line for line in table.splitlines() if line.endswith(" \\\\") and not line.startswith("\\caption")]
        assert len({line.replace("\\&", "").count(" & ") for line in lines}) == 1


def test_a_study_without_a_selection_says_what_it_has(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "selection" / "selection.json").unlink()
    (run / "run.json").unlink()
    records = load_run(RunDir(run))
    markdown, _ = appendix_texts(records)
    assert "Dunnett" not in markdown
    assert "None" not in markdown
    assert "nan" not in markdown
    assert as_latex("t", []).startswith("% needs")


def test_arms_of_a_design_stand_by_their_names_without_a_mean(records: RunRecords) -> None:
    trials = records.trials.copy()
    trials.loc[trials["arm"] == "all-data", ["stage", "arm"]] = ["design", "row-1:related"]
    table = DesignTable(
        kind="controlled", backbone="phantom", split="confirm", rows=(), scores=(), contrasts=(), marks={}, missing=()
    )
    study = {"design": {"kind": "controlled"}}
    designed = replace(records, design=table, trials=trials, selection=None, findings=None, study=study)
    found = arms_over_seeds(designed, "confirm")
    assert list(found) == ["Untrained", "row-1:related"]
    assert set(found["row-1:related"]) == set(TARGETS)
    text = appendix_texts(designed)[0]
    assert "A fixed design (controlled) was run instead of a search." in text
    assert "on the split sealed" not in text
    assert "the choice of questions stand in report/design.md" in text


def test_many_targets_stand_below_each_other(records: RunRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.report.appendix.results_tables.MOST_COLUMNS", 3)
    table = results_table(records, "sealed")
    assert table is not None
    assert table.head == ("arm", "evaluation set", "n", "accuracy", "seeds")
    figures = arms_over_seeds(records, "sealed")
    assert len(table.rows) == sum(len(by_set) for by_set in figures.values())
    assert not any(math.isnan(figure.mean) for by_set in figures.values() for figure in by_set.values())
    assert RECIPE["num_steps"] == 80
