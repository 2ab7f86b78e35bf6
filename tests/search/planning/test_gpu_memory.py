from __future__ import annotations

from pathlib import Path

from search.planning.gpu_memory import gpu_memory_line
from tests.makers.families import toy_row
from tests.makers.study_fixture import open_study, write_store


def test_gpu_memory_is_estimated_or_said_to_be_unknown(tmp_path: Path) -> None:
    known = open_study(tmp_path / "a", {"execution.gpus_per_worker": 1})
    assert "GPU memory of a worker: about 1 GiB" in gpu_memory_line(known)
    unknown = open_study(tmp_path / "b", {"execution.gpus_per_worker": 1, "backbone.model": "/nowhere"})
    assert "not known" in gpu_memory_line(unknown)


def test_prepared_rows_are_looked_at(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"execution.gpus_per_worker": 1})
    assert "(assumed before the data are prepared)" in gpu_memory_line(study)
    write_store(study, image=toy_row(0)["images"][0])
    assert "of 1.0 image(s), at most" in gpu_memory_line(study)
