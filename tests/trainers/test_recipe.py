"""Recipe and backbone spec: what they accept, and what `auto` becomes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.recipe import Recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0}, {"num_steps": -1}, {"num_steps": 2.5}, {"batch_size": 0}, {"micro_batch_size": 0},
        {"lora_rank": 0}, {"lora_dropout": 1.0}, {"lora_modules": "vision"}, {"warmup_fraction": 1.1},
        {"max_grad_norm": 0}, {"weight_decay": -0.1}, {"lerning_rate": 0.1},
    ],
)  # fmt: skip
def test_impossible_recipes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)


def test_everything_but_the_micro_batch_is_the_experiment() -> None:
    assert set(Recipe().identity()) == set(Recipe.model_fields) - {"micro_batch_size"}


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Recipe().num_steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("asked", "gpus", "device", "dtype"),
    [
        ({}, 0, "cpu", "float32"),
        ({}, 0.5, "cuda", "bfloat16"),
        ({"device": "cpu"}, 1, "cpu", "float32"),
        ({"dtype": "float16"}, 1, "cuda", "float16"),
        ({"device": "cuda"}, 0, "cuda", "bfloat16"),
    ],
)
def test_auto_is_decided_before_a_trial_starts(asked: dict[str, Any], gpus: float, device: str, dtype: str) -> None:
    resolved = BackboneSpec(**asked).resolved(gpus_per_worker=gpus)
    assert (resolved.device, resolved.dtype) == (device, dtype)
    assert resolved.resolved(gpus_per_worker=gpus) == resolved


def test_the_shipped_backbone_is_a_folder_and_others_keep_their_name() -> None:
    assert BackboneSpec().location() == str(PHANTOM_DIR)
    assert BackboneSpec(model="org/model").location() == "org/model"
    assert BackboneSpec().trust_remote_code is False
