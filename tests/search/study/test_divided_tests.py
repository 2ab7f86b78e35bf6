"""A target whose published test rows are divided is said to be one in plan, check, run.json and page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from datasets_spec.check.check import check_store
from search.cli.plan import show_plan
from search.evidence.inputs.study_facts import gather_facts
from search.report.write import write_report
from search.study.load_study import load_study
from search.study.run_dir import RunDir
from tests.makers.study_fixture import write_store, write_study
from tests.search.report.fixture_run import write_run


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = write_study(tmp_path / "study")
    catalog_file = tmp_path / "study" / "catalog.yaml"
    catalog = yaml.safe_load(catalog_file.read_text())
    (target,) = (subset for subset in catalog["subsets"] if subset["name"] == "mr-lung")
    target["test"] = target.pop("pool")
    target["shares"] = {"train": 0, "search": 0.5, "confirm": 0.25, "sealed": 0.25}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return path


def test_plan_check_and_report_say_so(study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(study_file, (), None)
    said = "mr-lung: its published test rows are divided (50% guide the search, 25% compare the finalists, 25% stay"
    assert f"note: {said}" in " ".join(capsys.readouterr().out.split())
    study = load_study(study_file)
    store = write_store(study)
    found = check_store(store, study.catalog, sources=["ct-lung"], eval_sets=["mr-lung"])
    assert [note for note in found.advice if str(note).startswith(said)]
    run = write_run(tmp_path / "run")
    assert 'id="divided-tests"' not in write_report(RunDir(run)).read_text(encoding="utf-8")
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["divided_tests"] = gather_facts(study, store, {}, RunDir(run)).divided_tests
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    page = write_report(RunDir(run)).read_text(encoding="utf-8")
    assert f'<p class="caution" id="divided-tests">{said}' in page
