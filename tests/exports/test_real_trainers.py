"""Each export, loaded by the trainer that it is for: as many rows and images as were selected, images to the model.

`make test-exports` runs them. TRL and the script for transformers train two steps; of LLaMA-Factory and ms-swift the
own loaders read the rows, of Axolotl the own strategy, and the settings are taken by the own classes of all of them.
A module that is missing is a failure: what is skipped here is tried nowhere.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from search.handover.export import TRAINER_NAMES, export_selection
from tests.makers.finished_run import SELECTED, finished_study

pytestmark = pytest.mark.exports
NUM_ROWS = sum(SELECTED.values())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    run_dir = finished_study(folder / "study")[1]
    for name in TRAINER_NAMES:
        export_selection(run_dir, folder / name, name)
    return folder


def enter(exported: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in the folder, as its README says; return its settings."""
    monkeypatch.chdir(exported / name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = exported / name / "train.yaml"
    return yaml.safe_load(path.read_text()) if path.is_file() else {}


def pixels_seen(trainer: Any) -> list[int]:
    """How many images each forward pass of a trainer gets."""
    seen: list[int] = []

    def look(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        pixels = kwargs.get("pixel_values")
        seen.append(0 if pixels is None else int(pixels.shape[0]))

    trainer.model.register_forward_pre_hook(look, with_kwargs=True)
    return seen


def test_trl_trains_two_steps_on_every_image(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trl = import_module("trl")
    enter(exported, "trl", monkeypatch)
    sft = import_module("trl.scripts.sft")
    monkeypatch.setattr(sys, "argv", ["sft", "--config", "train.yaml", "--max_steps", "2"])
    script, training, model, data = sft.make_parser().parse_args_and_config()
    assert training.max_length is None
    assert hasattr(model, "load_in_4bit")
    assert hasattr(model, "bnb_4bit_quant_type")
    assert hasattr(model, "use_bnb_nested_quant")
    dataset = trl.get_dataset(data)[script.dataset_train_split]
    assert (len(dataset), sum(map(len, dataset["images"]))) == (NUM_ROWS, 2 * NUM_ROWS)
    trainer = trl.SFTTrainer(
        model=model.model_name_or_path, args=training, train_dataset=dataset, peft_config=trl.get_peft_config(model)
    )
    seen = pixels_seen(trainer)
    rows = [row["id"] for row in dataset]
    assert list(trainer._get_train_sampler()) == list(range(len(rows)))
    trainer.train()
    assert seen == [2] * 2 * training.gradient_accumulation_steps
    assert {
        name for name, weight in trainer.model.named_parameters() if weight.requires_grad and "vision" in name
    } == set()


def test_the_script_for_transformers_trains_two_steps(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(exported, "hf", monkeypatch)
    monkeypatch.syspath_prepend(str(exported / "hf"))
    script = import_module("train")
    trainer = script.main(max_steps=2)
    assert trainer.state.global_step == 2
    assert (exported / "hf" / "out" / "adapter_model.safetensors").is_file()
    rows = [trainer.train_dataset[place] for place in range(2)]
    batch = trainer.data_collator(rows)
    assert batch["pixel_values"].shape[0] == 4
    answers = batch["labels"][batch["labels"] >= 0].tolist()
    letter, end = script.AutoProcessor.from_pretrained("base").tokenizer.convert_tokens_to_ids(["A", "<eos>"])
    assert answers == [letter, end] * 2


def test_llama_factory_reads_every_row_with_its_images(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = enter(exported, "llama-factory", monkeypatch)
    path = Path("data/train.json")
    records = json.loads(path.read_text())
    for number, record in enumerate(records):  # the rows of the made study are all alike
        record["messages"][0]["content"] += f" {number}"
    path.write_text(json.dumps(records))
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")  # of libraries that training needs, and loading does not
    monkeypatch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))  # imported for audio only
    hparams, parser, loader = map(
        import_module, ("llamafactory.hparams", "llamafactory.data.parser", "llamafactory.data.loader")
    )
    transformers = import_module("transformers")
    classes = [hparams.DataArguments, hparams.ModelArguments, hparams.FinetuningArguments]
    known = [{field.name for field in dataclasses.fields(kind)} for kind in classes]
    training = {field.name for field in dataclasses.fields(transformers.Seq2SeqTrainingArguments)}
    assert not settings.keys() - set.union(*known, training)
    assert {"quantization_bit", "quantization_type", "double_quantization"} <= known[1]
    data, model, finetuning = (
        kind(**{name: settings[name] for name in names & settings.keys()})
        for kind, names in zip(classes, known, strict=True)
    )
    (attributes,) = parser.get_dataset_list(settings["dataset"].split(","), settings["dataset_dir"])
    arguments = transformers.Seq2SeqTrainingArguments(output_dir="out", report_to="none")
    rows = list(loader._load_single_dataset(attributes, model, data, arguments))
    assert [row["_prompt"][-1]["content"].split()[-1] for row in rows] == [str(number) for number in range(NUM_ROWS)]
    assert finetuning.disable_shuffling is True
    assert all(row["_prompt"] and row["_response"] for row in rows)  # a wrong role order empties both
    assert all(len(row["_images"]) == 2 and all(Path(name).is_file() for name in row["_images"]) for row in rows)


def test_ms_swift_reads_every_row_with_its_images(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = enter(exported, "ms-swift", monkeypatch)
    swift, arguments = map(import_module, ("swift.dataset", "swift.arguments"))
    known = {field.name for field in dataclasses.fields(arguments.SftArguments)}
    four_bits = {"quant_method", "quant_bits", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant"}
    assert not (four_bits | settings.keys() - {"ENV"}) - known
    options = {"shuffle": settings["dataset_shuffle"], "strict": True, "split_dataset_ratio": 0}
    dataset, _ = swift.load_dataset(settings["dataset"], **options)
    rows = list(dataset)
    assert len(rows) == NUM_ROWS
    written = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    assert [row["messages"] for row in rows] == [row["messages"] for row in written]
    assert all(len(row["images"]) == 2 for row in rows)


def test_axolotl_takes_the_settings_and_keeps_every_image(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = enter(exported, "axolotl", monkeypatch)
    strategies, config = map(import_module, ("axolotl.processing_strategies", "axolotl.utils.schemas.config"))
    checked = config.AxolotlInputConfig(**settings)
    assert checked.datasets[0].path == "train.jsonl"
    assert not {"load_in_4bit", "processor_kwargs", *settings} - set(config.AxolotlInputConfig.model_fields)
    transformers = import_module("transformers")
    size = {"height": 24, "width": 24}
    told = dict(transformers.AutoProcessor.from_pretrained("base", size=size).image_processor.size)
    assert (told["height"], told["width"]) == (24, 24)
    processor = transformers.AutoProcessor.from_pretrained("base")
    strategy = strategies.ProcessingStrategy(processor)
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    turns = [example["messages"] for example in strategy(rows)]
    assert len(turns) == NUM_ROWS
    inputs = processor.apply_chat_template(turns, tokenize=True, return_dict=True, return_tensors="pt", padding=True)
    assert inputs["pixel_values"].shape[0] == 2 * NUM_ROWS


@pytest.mark.parametrize("name", TRAINER_NAMES)
def test_mlcroissant_takes_the_description_without_an_error(exported: Path, name: str) -> None:
    mlcroissant = import_module("mlcroissant")
    metadata = mlcroissant.Dataset(jsonld=exported / name / "croissant.json").metadata
    assert not metadata.ctx.issues.errors
    assert not metadata.ctx.issues.warnings
    assert metadata.ctx.is_v1_1()
    assert len(metadata.distribution) >= 1
