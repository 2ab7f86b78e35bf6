"""The same code serves three model families: nothing here knows which one it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.makers.families import FAMILIES, SPEC, tiny_backbone, toy_row, toy_rows
from trainers.backbone.adapters import PROJECTOR_NAMES, add_adapter, load_adapter, save_adapter
from trainers.prompts.encoder import IGNORED, BatchEncoder, ImagesDidNotReachModelError, example_from_row
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.scoring.scorer import score_rows
from trainers.training.loop import answer_losses, finetune

RECIPE = Recipe(learning_rate=1e-2, num_steps=6, batch_size=4, lora_rank=4)
family_names = pytest.mark.parametrize("family", sorted(FAMILIES))


@family_names
@pytest.mark.parametrize("modules", ["attention", "language+projector"])
def test_adapters_leave_the_vision_tower_alone(family: str, modules: str) -> None:
    backbone = tiny_backbone(family)
    tower = {id(p) for n, p in backbone.model.get_encoder(modality="image").named_parameters()}
    model = add_adapter(backbone, RECIPE.model_copy(update={"lora_modules": modules}), seed=0)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    in_tower = [n for n in trained if any(part in n for part in ("vision_tower", "visual.blocks", "vision_model"))]
    assert in_tower == []
    assert any(part in n for n in trained for part in PROJECTOR_NAMES) == (modules == "language+projector")
    assert any("attn" in n for n in trained)
    assert any("mlp" in n for n in trained) == (modules == "language+projector")
    assert tower  # the check above is about something


@family_names
@pytest.mark.parametrize("num_images", [1, 2, 3])
def test_every_image_reaches_the_model(family: str, num_images: int) -> None:
    backbone = tiny_backbone(family)
    row = toy_row(0, num_images=num_images)
    ids = backbone.encoder.encode_prompts([example_from_row(row)])["input_ids"]
    one = backbone.encoder.encode_prompts([example_from_row(toy_row(0))])["input_ids"]
    token = backbone.model.config.image_token_id
    assert int((ids == token).sum()) == num_images * int((one == token).sum()) > 0
    other = {**row, "images": [*row["images"][:-1], toy_row(7)["images"][0]]}
    with torch.inference_mode():
        before = backbone.model(**backbone.encoder.encode_prompts([example_from_row(row)])).logits[0, -1]
        after = backbone.model(**backbone.encoder.encode_prompts([example_from_row(other)])).logits[0, -1]
    assert not torch.equal(before, after)  # the last image changes what the model says


@family_names
def test_labels_are_the_answer_and_nothing_else(family: str) -> None:
    encoder = tiny_backbone(family).encoder
    rows = [toy_row(0), toy_row(1, num_images=2), toy_row(2, is_open=True)]
    examples = [example_from_row(row) for row in rows]
    batch = encoder.encode_training(examples)
    prompts = encoder.encode_prompts(examples)
    for i, example in enumerate(examples):
        answered = batch["labels"][i][batch["labels"][i] != IGNORED]
        wanted = [
            *encoder.tokenizer(example.answer, add_special_tokens=False).input_ids,
            encoder.tokenizer.eos_token_id,
        ]
        assert answered.tolist() == wanted
        length = int(prompts["attention_mask"][i].sum())
        assert torch.equal(batch["input_ids"][i, :length], prompts["input_ids"][i, :length])


@family_names
def test_a_few_steps_lower_the_loss_and_raise_the_score(family: str) -> None:
    backbone = tiny_backbone(family)
    model = add_adapter(backbone, RECIPE, seed=0)
    losses: list[float] = []
    recipe = RECIPE.model_copy(update={"num_steps": 30})
    finetune(
        model, DirectFeed(backbone.encoder, toy_rows(8)), recipe, seed=0, on_step=lambda _, loss: losses.append(loss)
    )
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


@family_names
def test_an_adapter_loads_elsewhere_and_says_the_same(family: str, tmp_path: Path) -> None:
    backbone = tiny_backbone(family)
    model = add_adapter(backbone, RECIPE, seed=0)
    finetune(model, DirectFeed(backbone.encoder, toy_rows(8)), RECIPE, seed=0)
    save_adapter(model, tmp_path, SPEC)
    fresh = tiny_backbone(family)
    loaded = load_adapter(fresh, tmp_path)
    inputs = backbone.encoder.encode_prompts([example_from_row(toy_row(3))])
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, loaded(**inputs).logits)
    assert str(tmp_path) not in (tmp_path / "adapter_config.json").read_text()


@family_names
def test_scores_do_not_depend_on_batch_size_and_count_every_question(family: str) -> None:
    backbone = tiny_backbone(family)
    rows = toy_rows(7)
    scored = [
        score_rows(
            backbone.model,
            backbone.encoder,
            DirectFeed(backbone.encoder, rows),
            eval_set="toy",
            split="confirm",
            batch_size=n,
            generate=True,
        )
        for n in (1, 3, 7)
    ]
    assert [len(outcomes) for outcomes in scored] == [7, 7, 7]
    for outcomes in scored[1:]:
        assert [o.predicted for o in outcomes] == [o.predicted for o in scored[0]]
        assert [o.generated for o in outcomes] == [o.generated for o in scored[0]]
        for a, b in zip(outcomes, scored[0], strict=True):
            assert a.log_probs == pytest.approx(b.log_probs, abs=1e-4)


@family_names
def test_micro_batches_change_memory_not_the_result(family: str) -> None:
    weights = []
    for size in (None, 2):
        backbone = tiny_backbone(family)
        model = add_adapter(backbone, RECIPE, seed=0)
        recipe = RECIPE.model_copy(update={"micro_batch_size": size})
        finetune(model, DirectFeed(backbone.encoder, toy_rows(8)), recipe, seed=0)
        weights.append(torch.cat([p.flatten() for p in model.parameters() if p.requires_grad]))
    assert torch.allclose(weights[0], weights[1], atol=1e-4)
    assert RECIPE.identity() == RECIPE.model_copy(update={"micro_batch_size": 2}).identity()


def test_a_template_that_drops_images_is_refused() -> None:
    backbone = tiny_backbone("idefics3")
    backbone.processor.chat_template = backbone.processor.chat_template.replace("<image>", "")
    with pytest.raises((ImagesDidNotReachModelError, ValueError)):
        backbone.encoder.encode_prompts([example_from_row(toy_row(0))])


def test_nothing_is_cut_silently() -> None:
    backbone = tiny_backbone("llava")
    short = BatchEncoder(
        backbone.processor,
        image_token_id=backbone.model.config.image_token_id,
        max_tokens=10,
        device=backbone.device,
        dtype=backbone.dtype,
    )
    with pytest.raises(ImagesDidNotReachModelError, match="10"):
        short.encode_prompts([example_from_row(toy_row(0))])


def test_answer_loss_is_the_mean_over_each_samples_answer() -> None:
    logits = torch.randn(2, 5, 11, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[IGNORED, IGNORED, 3, 4, IGNORED], [IGNORED, IGNORED, IGNORED, 5, IGNORED]])
    each = nn.functional.cross_entropy
    wanted = (each(logits[0, 1:2], torch.tensor([3])) + each(logits[0, 2:3], torch.tensor([4]))) / 2
    wanted = wanted + each(logits[1, 2:3], torch.tensor([5]))
    targets = labels[:, 1:]
    assert float(answer_losses(logits[:, :-1][targets != IGNORED], targets).sum()) == pytest.approx(
        float(wanted), rel=1e-6
    )
