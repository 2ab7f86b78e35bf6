import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from trainers.backbone_spec import PHANTOM_DIR
from trainers.phantom.build_base import BaseRecipe, build_base

TINY = BaseRecipe(
    num_items=300,
    num_dense_scenes=200,
    num_vision_steps=3,
    num_copy_items=100,
    num_copy_steps=3,
    num_pointer_steps=3,
    num_word_steps=3,
    num_one_image_steps=3,
    num_language_steps=4,
    num_blended_steps=4,
    num_check_items=64,
)


def test_the_recipe_is_reproducible_and_reports(tmp_path: Path) -> None:
    lines: list[str] = []
    torch.set_num_threads(1)
    reports = [build_base(tmp_path / name, seed=2, recipe=TINY, on_event=lines.append) for name in ("a", "b")]
    assert reports[0]["weights_sha256"] == reports[1]["weights_sha256"]
    other = build_base(tmp_path / "c", seed=3, recipe=TINY)
    assert other["weights_sha256"] != reports[0]["weights_sha256"]
    written = json.loads((tmp_path / "a" / "build.json").read_text())
    assert written["accuracy"] == reports[0]["accuracy"]
    assert set(written["seconds"]) >= {"items", "vision", "language", "check"}
    assert lines


def test_the_shipped_weights_are_those_of_the_shipped_report() -> None:
    folder = PHANTOM_DIR
    report = json.loads((folder / "build.json").read_text())
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert report["weights_sha256"] == digest
    assert report["recipe"] == asdict(BaseRecipe())
