"""Where weights come from and what identifies them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from datasets_spec.errors import UserError
from trainers.backbone import backbone
from trainers.backbone.backbone import backbone_fingerprint, load_backbone, model_without_weights
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec


def model_folder(root: Path) -> Path:
    root.mkdir()
    for name in (
        "model.safetensors", "config.json", "tokenizer.json", "processor_config.json", "chat_template.jinja",
        "tokenizer_config.json", "generation_config.json", "tokenizer.model", "vocab.json", "merges.txt",
        "special_tokens_map.json", "modeling_own.py",
    ):  # fmt: skip
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
    commits = ("a" * 40, "b" * 40)
    prints = {backbone_fingerprint(BackboneSpec(model="org/model", revision=revision)) for revision in commits}
    assert len(prints) == 2


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "a" * 39, "G" * 40])
def test_what_may_move_is_no_commit(revision: str) -> None:
    with pytest.raises(UserError, match=f"backbone.revision: '{revision}'") as caught:
        backbone_fingerprint(BackboneSpec(model="org/model", revision=revision))
    assert "40" in (caught.value.hint or "")


def test_the_shipped_phantom_is_the_same_by_name_and_by_folder_and_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = backbone_fingerprint(BackboneSpec())
    assert by_name == fingerprint_of(PHANTOM_DIR)
    copy = shutil.copytree(PHANTOM_DIR, tmp_path / "copy")
    assert fingerprint_of(copy) != by_name  # a folder of one's own is looked at as a whole
    monkeypatch.setattr(backbone, "PROMPTS_VERSION", -1)
    assert backbone_fingerprint(BackboneSpec()) == by_name
    before = fingerprint_of(copy)
    monkeypatch.undo()
    assert fingerprint_of(copy) != before


def test_own_code_is_trusted_without_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    asked: list[object] = []

    def from_config(config: object, **options: object) -> torch.nn.Module:
        asked.append(options["trust_remote_code"])
        return torch.nn.Linear(1, 1)

    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_config", from_config)
    for is_trusted in (True, False):
        model_without_weights(BackboneSpec(trust_remote_code=is_trusted).resolved(gpus_per_worker=0))
    assert asked == [True, False]


def test_a_model_that_cannot_be_loaded_is_the_users_to_repair(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(UserError, match=r"backbone\.model") as caught:
        load_backbone(BackboneSpec(model=str(tmp_path)).resolved(gpus_per_worker=0))
    assert caught.value.hint
