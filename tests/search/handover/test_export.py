"""`recombine export`: exact rows in the study's order, and no trainer's trap in what is written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from datasets_spec.store.store import open_store
from search.cli.verbs import app
from search.handover.export import TRAINER_NAMES, export_selection
from search.handover.formats.llama_factory import UNKNOWN_TEMPLATE, template_of
from search.handover.rows import collect_rows, first_epoch
from search.handover.selection import read_selection
from search.study.run_dir import RunDir
from search.study.study import Study
from tests.makers.finished_run import ADAPTER, SELECTED, grey_picture
from trainers.prompts.box_language import BoxLanguage

PROMPT = "which ?\nA: yes\nB: no\nAnswer with the option's letter from the given choices directly."
NUM_ROWS = sum(SELECTED.values())


@pytest.fixture(scope="module")
def exported(finished: tuple[Study, RunDir], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    for name in TRAINER_NAMES:
        written = export_selection(finished[1], folder / name, name)
        assert (written.num_rows, written.num_images) == (NUM_ROWS, 2 * NUM_ROWS)
    return {name: folder / name for name in TRAINER_NAMES}


def settings(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "train.yaml").read_text())
    return content


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_those_of_the_mix_once_each_in_the_order_of_the_fine_tune(
    finished: tuple[Study, RunDir], tmp_path: Path
) -> None:
    study, run_dir = finished
    selection = read_selection(run_dir)
    rows = collect_rows(selection, open_store(study.store_dir), tmp_path, BoxLanguage())
    in_store = [f"{name}/train#{order}" for name, number in sorted(SELECTED.items()) for order in range(number)]
    assert sorted(row.sample_id for row in rows) == sorted(in_store)
    assert [row.sample_id for row in rows] == [in_store[place] for place in first_epoch(NUM_ROWS, selection.seed)]
    assert [row.sample_id for row in rows] != in_store
    assert (rows[0].prompt, rows[0].answer) == (PROMPT, "A")
    assert [(tmp_path / name).read_bytes() for name in rows[0].images] == [grey_picture(40), grey_picture(200)]
    assert len(list((tmp_path / "images").iterdir())) == 2  # equal images once


def test_each_folder_says_its_one_command_and_holds_the_adapter_with_its_base(exported: dict[str, Path]) -> None:
    for name, folder in exported.items():
        (command,) = re.findall(r"```sh\n(.+)\n```", (folder / "README.md").read_text())
        assert command.split()[-1] in {path.name for path in folder.iterdir()}, name
        config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "./base"
        assert (folder / "base" / "config.json").is_file()


def test_llama_factory_gets_exact_rows_alternating_roles_and_found_images(exported: dict[str, Path]) -> None:
    folder = exported["llama-factory"]
    entry = json.loads((folder / "data" / "dataset_info.json").read_text())["selection"]
    assert "num_samples" not in entry
    rows = json.loads((folder / "data" / entry["file_name"]).read_text())
    assert len(rows) == NUM_ROWS
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == [entry["tags"]["user_tag"], entry["tags"]["assistant_tag"]]
        assert row["messages"][0]["content"].count("<image>") == len(row["images"]) == 2
        assert all((folder / settings(folder)["media_dir"] / name).is_file() for name in row["images"])
    assert settings(folder)["disable_shuffling"] is True
    assert "max_samples" not in settings(folder)
    assert settings(folder)["lora_target"] == "k_proj,o_proj,q_proj,v_proj"


def test_a_chat_template_that_is_not_known_is_said(exported: dict[str, Path]) -> None:
    assert template_of("Qwen/Qwen2.5-VL-3B-Instruct") == "qwen2_vl"
    assert settings(exported["llama-factory"])["template"] == UNKNOWN_TEMPLATE
    assert "`template` in train.yaml must be filled in" in (exported["llama-factory"] / "README.md").read_text()


def test_ms_swift_gets_no_count_and_no_shuffling(exported: dict[str, Path]) -> None:
    folder = exported["ms-swift"]
    (name,) = settings(folder)["dataset"]
    assert "#" not in name
    rows = lines(folder / name)
    assert len(rows) == NUM_ROWS
    assert {row["messages"][0]["content"].count("<image>") for row in rows} == {2}
    assert not settings(folder)["dataset_shuffle"]
    assert not settings(folder)["train_dataloader_shuffle"]
    assert settings(folder)["split_dataset_ratio"] == 0
    assert all((folder / settings(folder)["ENV"]["ROOT_IMAGE_DIR"] / name).is_file() for name in rows[0]["images"])


def test_axolotl_gets_every_image_as_a_part_and_no_column_of_images(exported: dict[str, Path]) -> None:
    folder = exported["axolotl"]
    rows = lines(folder / settings(folder)["datasets"][0]["path"])
    assert len(rows) == NUM_ROWS
    for row in rows:
        assert set(row) == {"messages"}
        parts = row["messages"][0]["content"]
        assert [part["type"] for part in parts] == ["image", "image", "text"]
        assert all((folder / part["path"]).is_file() for part in parts[:2])
    assert settings(folder)["sample_packing"] is False
    assert settings(folder)["remove_unused_columns"] is False


@pytest.mark.parametrize("name", ["trl", "hf"])
def test_parquet_holds_as_many_parts_as_images_and_no_fraction_is_asked(exported: dict[str, Path], name: str) -> None:
    folder = exported[name]
    (path,) = (folder / "data").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == NUM_ROWS
    for row in rows:
        types = [part["type"] for part in row["prompt"][0]["content"]]
        assert types == ["image"] * len(row["images"]) + ["text"]
        assert row["completion"][0]["content"][0]["text"] == "A"
    assert not (folder / "images").exists()
    if name == "trl":
        assert settings(folder)["datasets"] == [{"path": "./data"}]
        assert settings(folder)["train_sampling_strategy"] == "sequential"
        assert settings(folder)["max_length"] is None


def test_the_recipe_is_the_studys(exported: dict[str, Path]) -> None:
    trl, axolotl = settings(exported["trl"]), settings(exported["axolotl"])
    assert trl["max_steps"] == axolotl["max_steps"] == 4
    assert trl["per_device_train_batch_size"] * trl["gradient_accumulation_steps"] == 4
    assert axolotl["micro_batch_size"] * axolotl["gradient_accumulation_steps"] == 4
    assert (trl["lora_r"], trl["lora_alpha"], trl["seed"]) == (8, 16, 101)
    assert trl["gradient_checkpointing"] is False


def test_without_the_adapter_the_same_layers_are_adapted_and_no_adapter_is_spoken_of(
    finished: tuple[Study, RunDir], exported: dict[str, Path], tmp_path: Path
) -> None:
    run_dir = RunDir(tmp_path / "runs" / "tiny")
    shutil.copytree(finished[1].root, run_dir.root)
    for adapter in run_dir.root.glob("trials/*/adapter"):
        shutil.rmtree(adapter)
    for name in ("trl", "llama-factory"):
        export_selection(run_dir, tmp_path / name, name, finished[0].store_dir)
        before = settings(exported[name])
        assert settings(tmp_path / name) == before
    assert settings(tmp_path / "trl")["lora_target_modules"] == [ADAPTER["target_modules"]]
    text = (tmp_path / "trl" / "README.md").read_text()
    assert "has not kept the adapter" in text
    assert "PeftModel" not in text
    assert "PeftModel" in (exported["trl"] / "README.md").read_text()


def test_the_command_says_what_it_wrote_and_mistakes_name_what_to_do(
    finished: tuple[Study, RunDir], tmp_path: Path
) -> None:
    run_dir = finished[1]
    done = CliRunner().invoke(app, ["export", str(run_dir), str(tmp_path / "out"), "--for", "trl"])
    assert done.exit_code == 0, done.output
    assert "train in" in done.output
    with pytest.raises(UserError, match=r"no trainer 'tlr'(.|\n)*llama-factory"):
        export_selection(run_dir, tmp_path / "new", "tlr")
    with pytest.raises(UserError, match="not empty"):
        export_selection(run_dir, tmp_path / "out", "trl")
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(run_dir.root, moved)
    with pytest.raises(UserError, match="--store"):
        export_selection(RunDir(moved), tmp_path / "new", "trl")
    export_selection(RunDir(moved), tmp_path / "new", "trl", finished[0].store_dir)
    (moved / "selection" / "selection.json").unlink()
    with pytest.raises(UserError, match="has no selection yet"):
        export_selection(RunDir(moved), tmp_path / "newer", "trl")
