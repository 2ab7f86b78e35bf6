"""What does not fit into memory is tried apart and in smaller parts, and holds nothing of the attempt before."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import ROWS, folder_of
from tests.trainers.executors.test_packed_trials import EncodedInMemory, Told, context, specs
from trainers.backbone.backbone import Backbone
from trainers.executors import packed_trials
from trainers.executors.memory_ladder import run_packed_trials, with_less_memory, within_micro_batch
from trainers.executors.one_trial import run_trial
from trainers.scoring import scorer
from trainers.training import loop, packed_loop
from trainers.trial.folder import read_result


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


@pytest.fixture(scope="module")
def encoded(backbone: Backbone) -> EncodedInMemory:
    return EncodedInMemory(backbone)


def limit_batch(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Make joint backward passes over more than `most` samples run out of memory; returns the sizes tried."""
    tried: list[int] = []
    original = loop.batch_losses

    def hungry(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        tried.append(len(inputs["input_ids"]))
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(model, inputs)

    monkeypatch.setattr(packed_loop, "batch_losses", hungry)
    return tried


def test_out_of_memory_is_tried_alone_then_in_smaller_parts(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    tried = limit_batch(monkeypatch, 1)
    run_packed_trials(context(tmp_path, backbone, encoded, told), specs(2), attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (1, "finished")]
    assert tried[:3] == [6, 3, 1]  # two of three samples, one alone, micro-batches of one
    monkeypatch.undo()
    run_trial(specs()[0], ROWS, tmp_path / "alone", attempt="1", submitted_at=0.0, backbone=backbone)
    cut, whole = (
        load_file(folder_of(root, specs()[0]) / "adapter" / "adapter_model.safetensors")
        for root in (tmp_path / "trials", tmp_path / "alone")
    )
    for name in whole:
        assert torch.allclose(cut[name], whole[name], atol=1e-3)


def test_what_never_fits_is_oom(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    limit_batch(monkeypatch, 0)
    run_packed_trials(context(tmp_path, backbone, encoded, told), specs(2), attempt="1")
    assert sorted(told.ends) == [(0, "oom"), (1, "oom")]


def test_a_failed_attempt_holds_nothing_when_the_next_begins(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a step had made when it ran out of memory: here a graph over all of the pack's adapters."""
    told, held = Told(), [0]
    graphs: list[weakref.ref[torch.Tensor]] = []
    original = loop.batch_losses

    def hungry(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        held[0] += sum(graph() is not None for graph in graphs)
        losses = original(model, inputs)
        if len(losses) > 1:
            graphs.append(weakref.ref(losses))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses

    monkeypatch.setattr(packed_loop, "batch_losses", hungry)
    run_packed_trials(context(tmp_path, backbone, encoded, told), specs(2), attempt="1")
    assert sorted(told.ends) == [(0, "finished"), (1, "finished")]
    assert len(graphs) == 3  # together, and each with its whole micro-batch
    assert held == [0]


def test_scoring_that_does_not_fit_asks_fewer_questions_at_a_time(
    tmp_path: Path, backbone: Backbone, encoded: EncodedInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    asked: list[int] = []
    original = scorer.score_adapters

    def hungry(*arguments: Any, batch_size: int, **options: Any) -> Any:
        asked.append(batch_size)
        if batch_size > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(*arguments, batch_size=batch_size, **options)

    monkeypatch.setattr(packed_trials, "score_adapters", hungry)
    (spec,) = specs(1, eval_batch_size=16)
    run_packed_trials(context(tmp_path, backbone, encoded, told), [spec], attempt="1")
    assert told.ends == [(0, "finished")]
    assert list(dict.fromkeys(asked)) == [16, 8, 4, 2, 1]
    assert read_result(folder_of(tmp_path / "trials", spec)).train_id == spec.train_id


def test_the_ladder_ends_at_one_sample_and_one_question() -> None:
    (spec,) = specs(1, eval_batch_size=8)
    sizes = []
    smaller = with_less_memory(spec)
    while smaller is not None:
        sizes.append((smaller.recipe.micro_batch_size, smaller.eval_batch_size))
        assert smaller.train_id == spec.train_id
        smaller = with_less_memory(smaller)
    assert sizes == [(1, 4), (1, 2), (1, 1)]


def test_a_measured_micro_batch_is_a_limit_and_no_other_experiment() -> None:
    (spec,) = specs(1)
    assert within_micro_batch(spec, None) is spec
    assert within_micro_batch(spec, 3) is spec  # its batch is of 3
    cut = within_micro_batch(spec, 2)
    assert (cut.recipe.micro_batch_size, cut.train_id) == (2, spec.train_id)
    assert within_micro_batch(cut, 2) is cut
