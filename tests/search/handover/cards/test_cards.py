"""The cards of an exported folder: heads that the hub reads, figures of selection.json, sources and their terms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.handover.cards.adapter_card import adapter_card
from search.handover.cards.licences import combine
from search.handover.export import export_selection
from search.handover.selection import read_selection
from search.study.run_dir import RunDir
from tests.makers.finished_run import SELECTED


@pytest.fixture(scope="module")
def folder(finished_dir: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "trl"
    export_selection(finished_dir, folder, "trl")
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


def test_the_adapters_card_has_the_studys_figures(finished_dir: RunDir, folder: Path) -> None:
    head = head_of(folder / "adapter" / "README.md")
    selection = json.loads((finished_dir / "selection" / "selection.json").read_text())
    sealed = {e["eval_set"]: e["accuracy"] for e in selection["estimates"]["sealed"] if e["eval_set"] != "mean"}
    (model,) = head["model-index"]
    found = {result["dataset"]["name"]: result["metrics"][0]["value"] for result in model["results"]}
    assert found == {name: pytest.approx(accuracy, abs=1e-4) for name, accuracy in sealed.items()}
    assert {result["dataset"]["split"] for result in model["results"]} == {"sealed"}


def test_figures_of_the_questions_that_chose_are_published_with_a_caution_and_their_scores_name(
    finished_dir: RunDir,
) -> None:
    selection = read_selection(finished_dir)
    before = adapter_card(selection, combine({}))
    assert "have not been opened" not in before
    estimates = {"confirm": selection.content["estimates"]["confirm"], "sealed": []}
    luck = {"observed": 0.71, "expected": 0.64, "optimism": 0.07, "num_finalists": 3}
    content = {**selection.content, "estimates": estimates, "optimism": {"confirm": luck}}
    blind = {"mr-lung": {"num_closed": 0, "num_open": 3, "num_box": 2}}
    study = replace(selection.study, facts=selection.study.facts.model_copy(update={"blind": blind}))
    card = adapter_card(replace(selection, content=content, study=study), combine({}))
    head = yaml.safe_load(card.split("---\n", 2)[1])
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["split"] == "confirm"
    (metric,) = result["metrics"]
    assert metric["type"] != "accuracy"
    assert metric["name"].startswith("mean of token F1 and IoU (The sealed questions have not been opened")
    body = card.split("---\n", 2)[2]
    assert "The best of 3 was taken" in body
    assert "64.0" in body


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
