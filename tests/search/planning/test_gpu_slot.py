from __future__ import annotations

from pathlib import Path

from search.planning.gpu_slot import feeding_line, fitting_line, gpu_lines, look_at_rows
from tests.makers.families import toy_row
from tests.makers.study_fixture import open_study, write_store
from trainers.training.memory_estimate import MemoryEstimate

KEPT = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=9.0, gradients_gib=1.0)
AGAIN = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=1.0, gradients_gib=1.0)


def test_memory_is_estimated_or_said_to_be_unknown(tmp_path: Path) -> None:
    known = open_study(tmp_path / "a", {"execution.gpus_per_worker": 1})
    assert "GPU memory of a worker: about 1 GiB" in gpu_lines(known, 1.0, None)[0]
    unknown = open_study(tmp_path / "b", {"execution.gpus_per_worker": 1, "backbone.model": "/nowhere"})
    assert "not known" in gpu_lines(unknown, 1.0, None)[0]


def test_prepared_rows_are_looked_at(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"execution.gpus_per_worker": 1})
    assert look_at_rows(study) is None
    assert "(assumed; no prepared row" in gpu_lines(study, 1.0, None)[0]
    write_store(study, images=toy_row(0)["images"])
    memory, fitting, chosen, feeding = gpu_lines(study, 1.0, look_at_rows(study))
    assert "of 1.0 image(s), at most" in memory
    assert "24 GiB: 4 (4)" in fitting  # the whole batch
    assert chosen.startswith("chosen by card")
    assert "24 GiB: 4 samples at a time;" in chosen
    assert "ms of a core each" in feeding
    settled = {"backbone.activation_checkpointing": False, "recipe.micro_batch_size": 2}
    said = open_study(tmp_path / "b", {"execution.gpus_per_worker": 1, **settled})
    assert not [line for line in gpu_lines(said, 1.0, None) if line.startswith("chosen")]


def test_what_fits_is_said_by_card() -> None:
    assert "24 GiB: 5 (28)" in fitting_line(KEPT, AGAIN, micro_batch=4, batch_size=64)
    assert "24 GiB: 5 (8)" in fitting_line(KEPT, AGAIN, micro_batch=4, batch_size=8)


def test_the_batch_from_which_samples_are_the_bound_is_told() -> None:
    assert "2 thread(s) have 20 ready in a step of 0.50 s, which takes 8: fast enough" in feeding_line(0.05, 2, 0.5, 8)
    assert "have 10 ready in a step of 0.50 s, which takes 32: too slow" in feeding_line(0.05, 1, 0.5, 32)
