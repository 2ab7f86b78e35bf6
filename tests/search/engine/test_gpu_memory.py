"""Studies that leave micro-batch and checkpointing open get what their cards hold; trials stay the same trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from search.engine import gpu_cards, gpu_memory
from search.engine.trial_factory import TrialFactory
from search.space.composition import Composition
from search.study.spec import StudySpec
from tests.makers.families import toy_row
from tests.makers.study_fixture import open_study, write_store
from trainers.backbone_spec import BackboneSpec
from trainers.executors.resources import TrialResources

ROOMY, SMALL = 24.0, 1.12  # GiB; of the small one the overhead leaves a few samples of the phantom


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What `fitted` looks at of an open study."""

    spec: StudySpec
    store: Any
    backbone: BackboneSpec
    factory: TrialFactory
    needed_rows: Mapping[tuple[str, str], int]
    resources: TrialResources
    said: list[str] = field(default_factory=list)

    def decide(self, text: str) -> None:
        self.said.append(text)


def opened_study(root: Path, changes: Mapping[str, Any]) -> Any:
    study = open_study(root, changes)
    store = write_store(study, images=toy_row(0)["images"])
    backbone = study.spec.backbone.resolved(gpus_per_worker=0)
    return Opened(
        spec=study.spec, store=store, backbone=backbone, needed_rows={("ct-lung", "train"): 4},
        factory=TrialFactory(study, store, backbone, "weights"),
        resources=TrialResources(gpus_per_worker=study.spec.execution.gpus_per_worker),
    )  # fmt: skip


def trial_of(opened: Any) -> Any:
    return opened.factory.spec(Composition({"ct-lung": 4}), opened.spec.recipe, 0, ("search",))


@pytest.mark.parametrize("changes", [{}, {"recipe.micro_batch_size": 2}, {"backbone.activation_checkpointing": True}])
def test_trials_go_through_a_card_in_parts_that_fit_and_stay_themselves(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    opened = opened_study(tmp_path, {"recipe.batch_size": 64, **changes})
    before = trial_of(opened)
    roomy, small = (gpu_memory.fitted(opened, room) for room in (ROOMY, SMALL))
    assert trial_of(roomy).train_id == trial_of(small).train_id == before.train_id
    asked = changes.get("recipe.micro_batch_size")
    assert trial_of(roomy).recipe.micro_batch_size == (asked or 64)
    assert trial_of(small).recipe.micro_batch_size <= (asked or 63)
    assert trial_of(roomy).backbone.activation_checkpointing is ("backbone.activation_checkpointing" in changes)
    assert "a time" in opened.said[0]
    assert "24 GiB a worker" in opened.said[0]


def test_nothing_is_asked_of_the_cluster_without_a_gpu_or_an_open_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_cards, "least_room_gib", lambda slots: pytest.fail("asked"))
    opened = opened_study(tmp_path / "cpu", {})
    assert gpu_memory.fit_to_cards(opened) is opened
    settled = {"recipe.micro_batch_size": 2, "backbone.activation_checkpointing": False, "backbone.device": "cuda"}
    opened = opened_study(tmp_path / "settled", settled)
    assert opened.backbone.device == "cuda"
    assert gpu_memory.fit_to_cards(opened) is opened


ON_CUDA = {"recipe.batch_size": 64, "backbone.device": "cuda", "execution.gpus_per_worker": 1}


@pytest.mark.parametrize(
    ("changes", "micro_batch_size", "is_checkpointed", "words"),
    [
        ({}, None, True, "as many as a slot finds to fit; activations: computed again"),
        ({"execution.pack": 2}, 1, True, "samples at a time: 1; activations: computed again"),
        ({"recipe.micro_batch_size": 8}, 8, True, "as the recipe says; activations: computed again"),
        ({"backbone.activation_checkpointing": False}, None, False, "to fit; activations: kept"),
    ],
)
def test_without_an_answer_memory_is_spared_and_it_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    micro_batch_size: int | None,
    is_checkpointed: bool,
    words: str,
) -> None:
    monkeypatch.setattr(gpu_cards, "_ask_nodes", list)
    opened = opened_study(tmp_path, {**ON_CUDA, **changes})
    found = trial_of(gpu_memory.fit_to_cards(opened))
    assert found.recipe.micro_batch_size == micro_batch_size
    assert found.backbone.activation_checkpointing is is_checkpointed
    assert words in opened.said[0]
    assert found.train_id == trial_of(opened).train_id


def test_a_backbone_that_cannot_be_estimated_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.training import memory_estimate

    def refused(*arguments: Any, **options: Any) -> None:
        raise ValueError("needs trust_remote_code")

    monkeypatch.setattr(memory_estimate, "estimate_memory", refused)
    opened = opened_study(tmp_path, {})
    assert trial_of(gpu_memory.fitted(opened, ROOMY)).backbone.activation_checkpointing is True
    assert "GPU memory: not known (the configuration of" in opened.said[0]


def test_slots_without_a_part_of_a_card_choose_nothing_and_say_so(tmp_path: Path) -> None:
    opened = opened_study(tmp_path, {**ON_CUDA, "execution.gpus_per_worker": 0})
    found = gpu_memory.fit_to_cards(opened)
    assert "execution.gpus_per_worker is 0" in opened.said[0]
    assert found is opened
