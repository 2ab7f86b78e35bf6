"""What trainers are told of the backbone: number format, limits of images, four bits, and how it writes boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.handover.formats.axolotl import write_axolotl
from search.handover.formats.llama_factory import write_llama_factory
from search.handover.formats.ms_swift import write_ms_swift
from search.handover.formats.transformers_script import write_hf
from search.handover.formats.trl import write_trl
from search.handover.rows import TrainingRow, _row
from search.handover.selection import Selection, read_selection
from search.handover.settings import Settings, settings_of
from search.study.run_dir import RunDir
from tests.makers.families import FAMILIES, SPEC
from trainers.backbone import backbone as backbone_module
from trainers.backbone.backbone import assemble_backbone
from trainers.backbone.image_limits import DEFAULT_MAX_PIXELS
from trainers.prompts.box_language import BoxLanguage

AS_SHIPPED = {"shortest_edge": 3136, "longest_edge": 12_845_056}  # of Qwen2.5-VL
Writer = Callable[[Path, Selection, Sequence[TrainingRow], Settings], list[str]]
WRITERS: dict[str, Writer] = {
    "axolotl": write_axolotl,
    "llama-factory": write_llama_factory,
    "ms-swift": write_ms_swift,
    "hf": write_hf,
    "trl": write_trl,
}


@pytest.fixture(scope="module")
def selection(finished_dir: RunDir) -> Selection:
    return read_selection(finished_dir)


@pytest.fixture(scope="module")
def phantom(selection: Selection) -> Settings:
    return settings_of(selection)


def written(name: str, folder: Path, selection: Selection, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """The configuration for a trainer, and the notes."""
    (folder / "images").mkdir(parents=True)
    notes = WRITERS[name](folder, selection, [], settings)
    path = folder / ("recipe.json" if name == "hf" else "train.yaml")
    return yaml.safe_load(path.read_text()), notes


def test_weights_have_the_number_format_of_the_studys_workers(selection: Selection, phantom: Settings) -> None:
    assert phantom.dtype == "float32"
    spec = selection.study.spec
    on_gpus = spec.model_copy(update={"execution": spec.execution.model_copy(update={"gpus_per_worker": 1.0})})
    facts = selection.study.facts.model_copy(update={"spec": on_gpus})
    assert settings_of(replace(selection, study=replace(selection.study, facts=facts))).dtype == "bfloat16"


def test_the_default_limit_of_images_is_told_to_each_trainer_or_to_the_reader(
    selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = FAMILIES["qwen2_vl"]()
    processor.image_processor.size = AS_SHIPPED
    encoder = assemble_backbone(model, processor, SPEC).encoder
    monkeypatch.setattr(backbone_module, "load_encoder", lambda _: encoder)
    settings = settings_of(selection)
    assert settings.pixels == (3136, DEFAULT_MAX_PIXELS)
    found = {name: written(name, tmp_path / name, selection, settings) for name in WRITERS}
    factory = found["llama-factory"][0]
    assert (factory["image_min_pixels"], factory["image_max_pixels"]) == settings.pixels
    assert factory["cutoff_len"] == found["axolotl"][0]["sequence_len"] == 1024  # what the model can take
    assert found["ms-swift"][0]["max_pixels"] == DEFAULT_MAX_PIXELS
    assert found["hf"][0]["image_size"] == found["axolotl"][0]["processor_kwargs"]["size"]
    assert found["hf"][0]["image_size"] == AS_SHIPPED | {"longest_edge": DEFAULT_MAX_PIXELS}
    told = {name for name, (_, notes) in found.items() if str(DEFAULT_MAX_PIXELS) in " ".join(notes)}
    assert told == {"trl"}


def test_a_family_with_a_size_of_its_own_is_scaled_by_its_processor_alone(
    selection: Selection, phantom: Settings, tmp_path: Path
) -> None:
    assert phantom.image_size is None
    config, _ = written("llama-factory", tmp_path / "llama-factory", selection, phantom)
    assert config["image_max_pixels"] > 10**8  # its default is 768 x 768
    config, notes = written("ms-swift", tmp_path / "ms-swift", selection, phantom)
    assert ("max_pixels" in config, notes) == (False, [])


def test_a_limit_in_tiles_is_said_where_only_pixels_can_be_set(
    selection: Selection, phantom: Settings, tmp_path: Path
) -> None:
    tiles = replace(phantom, image_size={"longest_edge": 728})
    for name in ("llama-factory", "ms-swift"):
        assert "728" in " ".join(written(name, tmp_path / name, selection, tiles)[1])


def test_four_bits_are_written_in_each_trainers_words(selection: Selection, phantom: Settings, tmp_path: Path) -> None:
    spec = selection.backbone.model_copy(update={"quantization": "nf4"})
    settings = settings_of(replace(selection, backbone=spec))
    assert settings.target_modules == phantom.target_modules
    assert any("vision" in name for name in settings.kept_whole)
    found = {name: written(name, tmp_path / name, selection, settings) for name in WRITERS}
    assert found["trl"][0]["load_in_4bit"] is True
    assert (found["axolotl"][0]["adapter"], found["axolotl"][0]["load_in_4bit"]) == ("qlora", True)
    assert found["llama-factory"][0]["quantization_bit"] == 4
    assert (found["ms-swift"][0]["quant_method"], found["ms-swift"][0]["quant_bits"]) == ("bnb", 4)
    assert found["hf"][0]["quantization"]["llm_int8_skip_modules"] == list(settings.kept_whole)
    assert {name for name, (_, notes) in found.items() if "quantises vision tower" in " ".join(notes)} == {
        "trl", "axolotl", "llama-factory",
    }  # fmt: skip
    plain = {name: written(name, tmp_path / "plain" / name, selection, phantom)[0] for name in WRITERS}
    assert "bit" not in json.dumps([{k: v for k, v in config.items() if v} for config in plain.values()])


def test_boxes_are_asked_and_written_as_the_backbone_writes_them(phantom: Settings, tmp_path: Path) -> None:
    row = {
        "sample_id": "s", "question": "where ?", "options": [], "answer": "[0, 250, 500, 1000]", "answer_index": -1,
        "answer_kind": "box", "images": [],
    }  # fmt: skip
    in_letters = _row("a", row, tmp_path, phantom.boxes)
    assert (in_letters.prompt, in_letters.answer) == ("where ?", "A B C E")
    in_numbers = _row("a", row, tmp_path, BoxLanguage())
    assert in_numbers.prompt.startswith("where ?\n")
    assert "250" in in_numbers.answer
