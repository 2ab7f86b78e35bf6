"""What measuring packs says where memory is short, and of errors that have nothing to do with memory."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from tests.makers.families import tiny_backbone
from tests.trainers.executors.test_one_trial import ROWS, make_spec
from trainers.backbone.backbone import Backbone
from trainers.training import loop, pack_size, packed_loop
from trainers.training.pack_size import measure_pack_sizes

SPEC = make_spec({"a": 4})  # batches of 3


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def limit_samples(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Make backward passes over more than `most` samples run out of memory; returns how many graphs were left."""
    left: list[int] = []
    graphs: list[weakref.ref[torch.Tensor]] = []
    original = loop.batch_losses

    def hungry(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        left.append(sum(graph() is not None for graph in graphs))
        losses = original(model, inputs)
        if len(losses) > most:
            graphs.append(weakref.ref(losses))
            raise RuntimeError("CUDA error: out of memory")
        return losses

    monkeypatch.setattr(packed_loop, "batch_losses", hungry)
    return left


@pytest.mark.parametrize(("most", "micro_batch_size"), [(2, 1), (0, 1)])
def test_one_fine_tune_that_does_not_fit_means_no_packs_and_smaller_parts(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, most: int, micro_batch_size: int
) -> None:
    left = limit_samples(monkeypatch, most)
    about = measure_pack_sizes(backbone, ROWS, SPEC, max_pack=8)
    assert (about["pack_size"], about["micro_batch_size"]) == (1, micro_batch_size)
    assert about["is_memory_short"]
    assert not any(left)  # what did not fit is freed before the next try


def test_a_pack_that_does_not_fit_is_the_end_of_trying(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    left = limit_samples(monkeypatch, 6)
    monkeypatch.setattr(pack_size, "LEAST_GAIN", 0.0)  # whatever this machine says about two
    about = measure_pack_sizes(backbone, ROWS, SPEC, max_pack=8)
    assert (about["pack_size"], list(about["step_s"]), about["micro_batch_size"]) == (2, ["1", "2"], None)
    assert about["is_memory_short"]  # so it is not remembered
    assert not any(left)
    monkeypatch.undo()
    assert not measure_pack_sizes(backbone, ROWS, SPEC, max_pack=1)["is_memory_short"]


def test_any_other_error_is_raised(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(packed_loop, "batch_losses", broken)
    with pytest.raises(RuntimeError, match="device-side"):
        measure_pack_sizes(backbone, ROWS, SPEC, max_pack=8)
