"""The shipped backbone says where it learns nothing: in plan, run.json and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets_spec.phantom.world import IMAGE_SIZE
from datasets_spec.phantom.write import write_phantom
from search.cli.plan import show_plan
from search.report.write import write_report
from search.study.foreign_catalog import foreign_catalog_warning
from search.study.load_study import load_study
from search.study.run_dir import RunDir
from tests.makers.study_fixture import open_study, write_study
from tests.search.report.fixture_run import write_run

OWN = ("ct-lung-staging", "ct-brain-grading", "xray-lung-staging")


def phantom_study(root: Path) -> Path:
    write_phantom(root, subsets=OWN, num_pool=8, num_test=4)
    changes = {
        "targets": ["xray-lung-staging"],
        "control_sources": [],
        "space.composition.sources": ["ct-lung-staging", "ct-brain-grading"],
    }
    corpus = (root / "catalog.yaml").read_bytes()
    path = write_study(root, changes)
    (root / "catalog.yaml").write_bytes(corpus)
    return path


def test_the_corpus_itself_needs_no_warning(tmp_path: Path) -> None:
    assert foreign_catalog_warning(load_study(phantom_study(tmp_path))) is None


def test_another_backbone_needs_no_warning(tmp_path: Path) -> None:
    assert foreign_catalog_warning(open_study(tmp_path, {"backbone.model": "some/model"})) is None


def test_a_foreign_catalog_is_told_what_the_backbone_reads(tmp_path: Path) -> None:
    warning = foreign_catalog_warning(open_study(tmp_path))
    assert warning is not None
    assert f"grey pictures of {IMAGE_SIZE} x {IMAGE_SIZE} pixels and 103 words" in warning
    assert "learns nothing from ct-brain and 5 other subsets" in warning


def test_the_plan_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(write_study(tmp_path / "foreign"), (), None)
    assert "WARNING: the backbone `phantom`" in capsys.readouterr().out
    show_plan(phantom_study(tmp_path / "own"), (), None)
    assert "WARNING" not in capsys.readouterr().out


def test_the_page_shows_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert 'id="foreign-catalog"' not in write_report(RunDir(run)).read_text(encoding="utf-8")
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["foreign_catalog"] = foreign_catalog_warning(open_study(tmp_path / "study"))
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    page = write_report(RunDir(run)).read_text(encoding="utf-8")
    assert '<p class="caution" id="foreign-catalog">Warning: the backbone `phantom`' in page
