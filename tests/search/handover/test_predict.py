"""`recombine predict`: the selected adapter answers as it does when the study scores it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.cli.verbs import app
from search.handover.predict import predict
from search.handover.selection import read_selection
from search.study.run_dir import RunDir
from tests.makers.finished_run import finished_study, grey_picture
from trainers.backbone.adapters import add_adapter, save_adapter
from trainers.backbone.backbone import load_backbone
from trainers.scoring.scorer import answer_one

QUESTION, OPTIONS = "which stage is shown ?", ["early", "late", "Early"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished study whose selection has a real adapter."""
    run_dir = finished_study(tmp_path_factory.mktemp("finished"))[1]
    selection = read_selection(run_dir)
    assert selection.adapter is not None
    spec = selection.backbone.resolved(gpus_per_worker=0)
    model = add_adapter(load_backbone(spec), selection.recipe, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    save_adapter(model, selection.adapter, spec)
    return run_dir


def test_options_get_what_the_adapter_gives_them_and_equal_texts_count_once(run_dir: RunDir, tmp_path: Path) -> None:
    picture = tmp_path / "scan.png"
    picture.write_bytes(grey_picture(120))
    found = predict(run_dir, [picture], QUESTION, OPTIONS)
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.probabilities[2] == 0
    assert found.answer == OPTIONS[found.probabilities.index(max(found.probabilities))]
    bare = load_backbone(read_selection(run_dir).backbone.resolved(gpus_per_worker=0))
    row = {
        "sample_id": "q", "subset": "s", "question": QUESTION, "options": OPTIONS, "answer": "early",
        "answer_index": 0, "answer_kind": "closed", "images": [grey_picture(120)],
    }  # fmt: skip
    without, _ = answer_one(bare.model, bare.encoder, row)
    assert abs(torch.tensor(without[:2]).softmax(0)[0].item() - found.probabilities[0]) > 0.01


def test_images_reach_the_model(run_dir: RunDir, tmp_path: Path) -> None:
    dark, bright = tmp_path / "dark.png", tmp_path / "bright.png"
    dark.write_bytes(grey_picture(0))
    noise = Image.effect_noise((32, 32), 90)
    out = io.BytesIO()
    noise.save(out, "png")
    bright.write_bytes(out.getvalue())
    first, second = (predict(run_dir, [path], QUESTION, OPTIONS[:2]).probabilities[0] for path in (dark, bright))
    assert first != second


def test_the_command_prints_answer_and_probabilities_and_names_mistakes(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "scan.png"
    picture.write_bytes(grey_picture(120))
    monkeypatch.chdir(tmp_path)
    asked = ["predict", str(run_dir), picture.name, "--question", QUESTION]
    done = CliRunner().invoke(app, [*asked, "--options", "early", "--options", "late"])
    assert done.exit_code == 0, done.output
    assert re.search(r"(early|late)\nProbability of each option", done.output)
    assert CliRunner().invoke(app, asked).exit_code == 0  # in words
    with pytest.raises(UserError, match="one option is no choice"):
        predict(run_dir, [picture], QUESTION, ["early"])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text.png cannot be used: image [a-z]+"):
        predict(run_dir, [tmp_path / "text.png"], QUESTION, OPTIONS)
