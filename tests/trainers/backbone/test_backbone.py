"""Where weights come from and what identifies them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from trainers.backbone.backbone import backbone_fingerprint, load_backbone
from trainers.backbone_spec import BackboneSpec


def model_folder(root: Path) -> Path:
    root.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "processor_config.json", "chat_template.jinja"):
        (root / name).write_text(name)
    return root


def fingerprint_of(folder: Path) -> str:
    return backbone_fingerprint(BackboneSpec(model=str(folder)))


def test_a_folder_is_identified_by_what_it_holds(tmp_path: Path) -> None:
    one, two = model_folder(tmp_path / "one"), model_folder(tmp_path / "two")
    (two / "README.md").write_text("words")
    assert fingerprint_of(one) == fingerprint_of(two)
    for name in sorted(p.name for p in one.iterdir()):
        before = (two / name).read_text()
        (two / name).write_text(before + ".")
        assert fingerprint_of(one) != fingerprint_of(two), name
        (two / name).write_text(before)


def test_pickled_weights_are_no_backbone(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        fingerprint_of(folder)


def test_a_hub_model_needs_a_commit() -> None:
    with pytest.raises(UserError, match="revision"):
        backbone_fingerprint(BackboneSpec(model="org/model"))
    prints = {backbone_fingerprint(BackboneSpec(model="org/model", revision=revision)) for revision in ("a", "b")}
    assert len(prints) == 2


def test_a_model_that_cannot_be_loaded_is_the_users_to_repair(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(UserError, match=r"backbone\.model") as caught:
        load_backbone(BackboneSpec(model=str(tmp_path)).resolved(gpus_per_worker=0))
    assert caught.value.hint
