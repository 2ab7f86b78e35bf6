"""The cards of an exported folder: heads that the hub reads, figures of selection.json, sources and their terms."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.handover.export import export_selection
from search.study.run_dir import RunDir
from tests.makers.finished_run import SELECTED, finished_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return finished_study(tmp_path_factory.mktemp("finished"))[1]


@pytest.fixture(scope="module")
def folder(finished: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "trl"
    export_selection(finished, folder, "trl")
    return folder


def head_of(card: Path) -> dict[str, Any]:
    _, head, _ = card.read_text().split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(head)
    return content


def test_the_data_sets_card_loads_its_files_and_names_every_source(folder: Path) -> None:
    head = head_of(folder / "README.md")
    assert head["source_datasets"] == sorted(SELECTED)
    (files,) = head["configs"][0]["data_files"]
    assert list(folder.glob(files["path"]))
    assert head["size_categories"] == ["n<1K"]
    text = (folder / "README.md").read_text()
    assert "no licence is stated" in text
    assert text.index("trl sft") < text.index("## Sources")


def test_the_adapters_card_has_the_studys_figures(finished: RunDir, folder: Path) -> None:
    head = head_of(folder / "adapter" / "README.md")
    selection = json.loads((finished / "selection" / "selection.json").read_text())
    sealed = {e["eval_set"]: e["accuracy"] for e in selection["estimates"]["sealed"] if e["eval_set"] != "mean"}
    (model,) = head["model-index"]
    found = {result["dataset"]["name"]: result["metrics"][0]["value"] for result in model["results"]}
    assert found == {name: pytest.approx(accuracy, abs=1e-4) for name, accuracy in sealed.items()}
    assert {result["dataset"]["split"] for result in model["results"]} == {"sealed"}


def test_the_croissant_derives_the_selection_from_its_sources_and_bounds_its_use(folder: Path) -> None:
    content = json.loads((folder / "croissant.json").read_text())
    assert content["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert {source["@id"].rsplit(":")[-1] for source in content["prov:wasDerivedFrom"]} == set(SELECTED)
    for file in content["distribution"]:
        assert hashlib.sha256((folder / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]
    bounds = content["usageInfo"]["odrl:permission"]["odrl:constraint"]
    assert [bound["odrl:rightOperand"]["@id"] for bound in bounds] == ["duo:0000026"]
    required = {"description", "license", "name", "url", "creator", "datePublished", "distribution"}
    assert all(content[name] for name in required)
