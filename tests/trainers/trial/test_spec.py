"""Identity is content: equal weights have equal ids, and nothing else decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.spec import SCORER_VERSION, TRAINER_VERSION, EvalRequest, TrialSpec

REQUEST = EvalRequest(eval_set="t", split="search", fingerprint="f", exposure="held_out")
SPEC = TrialSpec(
    backbone=BackboneSpec(device="cpu", dtype="float32"),
    backbone_fingerprint="weights",
    composition={"a": 4},
    rows_digest="rows",
    recipe=Recipe(),
    seed=0,
    evaluations=(REQUEST,),
)
# Each pair of values of a field that decides the trained weights, and of one that does not.
DECIDING: dict[str, Any] = {
    "backbone_fingerprint": "other",
    "rows_digest": "other",
    "seed": 1,
    "backbone.dtype": "bfloat16",
    "backbone.device": "cuda",
    "backbone.attention": "eager",
    "recipe.learning_rate": 0.5,
    "recipe.num_steps": 5,
    "recipe.batch_size": 5,
    "recipe.lora_rank": 5,
    "recipe.lora_alpha": 5.0,
    "recipe.lora_dropout": 0.5,
    "recipe.lora_modules": "language",
    "recipe.weight_decay": 0.5,
    "recipe.warmup_fraction": 0.5,
    "recipe.max_grad_norm": 0.5,
}
IRRELEVANT: dict[str, Any] = {
    "recipe.micro_batch_size": 2,
    "backbone.model": "/another/place",
    "backbone.revision": "another",
    "backbone.trust_remote_code": True,
    "backbone.activation_checkpointing": True,
    "backbone.max_pixels": 5,  # part of the backbone's own identity
    "backbone.min_pixels": 5,
    "backbone.quantization": "nf4",
    "composition": {"b": 4},  # rows_digest says which rows, whatever they are called
    "evaluations": (),
    "eval_batch_size": 1,
    "timeout_s": 5.0,
    "deterministic": True,
    "rungs": (1,),
}


def with_changes(changes: dict[str, Any]) -> TrialSpec:
    spec = SPEC
    for path, value in changes.items():
        section, _, name = path.partition(".")
        if name:
            value = getattr(spec, section).model_copy(update={name: value})
        spec = spec.model_copy(update={section: value})
    return spec


def test_every_field_is_sorted_into_one_of_the_two() -> None:
    fields = {f"recipe.{name}" for name in Recipe.model_fields}
    fields |= {f"backbone.{name}" for name in BackboneSpec.model_fields}
    fields |= set(TrialSpec.model_fields) - {"recipe", "backbone"}
    assert fields == set(DECIDING) | set(IRRELEVANT)
    assert not set(DECIDING) & set(IRRELEVANT)


@given(st.sets(st.sampled_from(sorted(DECIDING))), st.sets(st.sampled_from(sorted(IRRELEVANT))))
def test_train_id_changes_with_what_decides_the_weights_and_with_nothing_else(
    deciding: set[str], irrelevant: set[str]
) -> None:
    changed = with_changes({**{f: DECIDING[f] for f in deciding}, **{f: IRRELEVANT[f] for f in irrelevant}})
    assert (changed.train_id == SPEC.train_id) == (not deciding)
    assert changed.score_id(REQUEST) == SPEC.score_id(REQUEST) or deciding


@given(st.sets(st.sampled_from(sorted(DECIDING))), st.sets(st.sampled_from(sorted(DECIDING))))
def test_different_trainings_have_different_ids(one: set[str], other: set[str]) -> None:
    ids = [with_changes({f: DECIDING[f] for f in fields}).train_id for fields in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


def test_a_score_is_of_rows_and_of_how_they_were_asked() -> None:
    def score_id(**changes: Any) -> str:
        return SPEC.score_id(REQUEST.model_copy(update=changes))

    assert len({score_id(), score_id(fingerprint="g"), score_id(generate=True)}) == 3
    assert score_id(exposure="in_domain") == score_id()
    assert score_id() != with_changes({"seed": 1}).score_id(REQUEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe.lora_dropout": 0.1},
        {"recipe.lora_modules": "language+projector"},
        {"backbone.dtype": "bfloat16"},
        {"backbone.attention": "eager"},
    ],
)
def test_a_new_trainer_makes_new_weights_of_what_it_trains_otherwise(changes: dict[str, Any], monkeypatch: Any) -> None:
    changed, bare = with_changes(changes), with_changes({**changes, "composition": {}})
    before = changed.train_id, bare.train_id, SPEC.train_id
    monkeypatch.setattr("trainers.trial.spec.TRAINER_VERSION", TRAINER_VERSION + 1)
    assert changed.train_id != before[0]
    assert (bare.train_id, SPEC.train_id) == before[1:]


def test_a_new_scorer_makes_new_scores_of_words_alone(monkeypatch: Any) -> None:
    words = REQUEST.model_copy(update={"has_words": True})
    before = SPEC.score_id(REQUEST), SPEC.score_id(words)
    assert before[0] != before[1]  # which both were by the first scorer
    monkeypatch.setattr("trainers.trial.spec.SCORER_VERSION", SCORER_VERSION + 1)
    assert SPEC.score_id(REQUEST) == before[0]
    assert SPEC.score_id(words) not in before


def test_a_folder_is_readable_and_unique() -> None:
    assert SPEC.folder_name == f"a-s0-{SPEC.train_id[:12]}"
    assert with_changes({"composition": {}}).folder_name.startswith("baseline-s0-")
    long = with_changes({"composition": {f"subset-{i}": 1 for i in range(50)}})
    assert len(long.folder_name) < 100


def test_a_spec_survives_the_way_to_a_worker() -> None:
    assert TrialSpec.model_validate(SPEC.model_dump(mode="json")) == SPEC
