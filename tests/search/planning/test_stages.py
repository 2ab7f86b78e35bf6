"""Stages grow with what they do, and the slower of two sides bounds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.store.manifest import read_manifest
from search.planning.cost import compute_plan
from search.planning.facts import read_facts
from search.planning.stages import ASSUMED_READ_BYTES_S, ASSUMED_SAMPLE_S, Stage, compute_stages, stage_rows
from search.study.run_dir import RunDir
from tests.makers.study_fixture import open_study, write_store


def stages_of(root: Path, **changes: Any) -> dict[str, Stage]:
    study = open_study(root, {"execution.gpus_per_worker": 1, **{k.replace("__", "."): v for k, v in changes.items()}})
    write_store(study, images=[bytes(10_000)])
    facts = read_facts(study, RunDir(root / "run"))
    manifest = read_manifest(study.store_dir)
    assert manifest is not None
    found = compute_stages(study, facts, compute_plan(study, facts), manifest, None, 1e9)
    return {stage.name.split()[0]: stage for stage in found}


def test_the_slower_of_gpu_and_threads_bounds_training(tmp_path: Path) -> None:
    phantom = stages_of(tmp_path / "a")["train"]  # 0.1 s a step of 4 samples that take 0.044 s each
    assert phantom.bound == "1 thread(s) that decode and process"
    fed = stages_of(tmp_path / "b", execution__num_threads=8)["train"]
    assert fed.bound == "the GPU"
    steps = phantom.seconds / (4 * ASSUMED_SAMPLE_S)
    assert fed.seconds == pytest.approx(steps * 0.1)
    halved = stages_of(tmp_path / "c", execution__max_concurrent=4)["train"]
    assert halved.seconds == pytest.approx(phantom.seconds / 2)
    by_kind = stages_of(tmp_path / "d", execution__slots=[{"count": 3}, {"gpus": 0.5}])["train"]
    assert by_kind.seconds == pytest.approx(halved.seconds)
    assert halved.num_bytes == phantom.num_bytes


def test_every_stage_has_bytes_seconds_and_a_bound(tmp_path: Path) -> None:
    found = stages_of(tmp_path)
    assert list(found) == ["prepare", "read", "load", "train", "answer", "keep"]
    assert found["load"].num_bytes == 2e9
    assert found["load"].seconds == 2e9 / ASSUMED_READ_BYTES_S
    # A trial trains on 4 samples a step and answers 4 questions of `search`; most of a row is its image.
    assert found["train"].num_bytes > 10_000 * 4
    assert found["answer"].name == "answer 88 questions"
    rows = stage_rows(found.values())
    assert rows[2] == ["load the backbone, in every slot", "1.9 GiB", "4 s", "the disk"]
