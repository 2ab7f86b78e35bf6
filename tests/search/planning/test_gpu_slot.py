from __future__ import annotations

from pathlib import Path

import pytest

from search.planning.gpu_slot import feeding_line, fitting_line, gpu_lines, largest_micro_batch
from tests.makers.families import toy_row
from tests.makers.study_fixture import open_study, write_store
from trainers.training.memory_estimate import OVERHEAD_GIB, MemoryEstimate

KEPT = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=9.0, gradients_gib=1.0)
AGAIN = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=1.0, gradients_gib=1.0)


def test_memory_is_estimated_or_said_to_be_unknown(tmp_path: Path) -> None:
    known = open_study(tmp_path / "a", {"execution.gpus_per_worker": 1})
    assert "GPU memory of a worker: about 1 GiB" in gpu_lines(known, 1.0)[0]
    unknown = open_study(tmp_path / "b", {"execution.gpus_per_worker": 1, "backbone.model": "/nowhere"})
    assert "not known" in gpu_lines(unknown, 1.0)[0]


def test_prepared_rows_are_looked_at(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"execution.gpus_per_worker": 1})
    assert "(assumed before the data are prepared)" in gpu_lines(study, 1.0)[0]
    write_store(study, images=toy_row(0)["images"])
    memory, fitting, feeding = gpu_lines(study, 1.0)
    assert "of 1.0 image(s), at most" in memory
    assert "24 GiB: 4 (4)" in fitting  # the whole batch
    assert "ms of a core each" in feeding


@pytest.mark.parametrize(("room_gib", "kept", "again"), [(9.0, 0, 0), (12.0, 0, 4), (15.0, 2, 10), (20.0, 4, 20)])
def test_what_is_proposed_fits_and_one_more_would_not(room_gib: float, kept: int, again: int) -> None:
    for estimate, expected in ((KEPT, kept), (AGAIN, again)):
        found = largest_micro_batch(estimate, 4, room_gib)
        assert found == expected
        a_sample = (estimate.activations_gib + estimate.gradients_gib) / 4
        fixed = estimate.weights_gib + estimate.adapters_gib + OVERHEAD_GIB
        assert found == 0 or fixed + found * a_sample <= room_gib
        assert fixed + (found + 1) * a_sample > room_gib
    assert "24 GiB: 5 (28)" in fitting_line(KEPT, AGAIN, micro_batch=4, batch_size=64)
    assert "24 GiB: 5 (8)" in fitting_line(KEPT, AGAIN, micro_batch=4, batch_size=8)


def test_the_batch_from_which_samples_are_the_bound_is_told() -> None:
    assert "2 thread(s) have 20 ready in a step of 0.50 s, which takes 8: fast enough" in feeding_line(0.05, 2, 0.5, 8)
    assert "have 10 ready in a step of 0.50 s, which takes 32: too slow" in feeding_line(0.05, 1, 0.5, 32)
