"""A study over 53 subsets of many rows that show 2,000 images of 200 KB, run: two trials, and what its start took."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import yaml
from PIL import Image

from datasets_spec.prepare import prepare_store
from search.phases.run_study import run_study
from search.study.load_study import load_study
from search.study.run_dir import RunDir
from tests.makers.on_disk import on_disk
from tests.makers.packed_store import packed_store
from tests.makers.scale_study import NUM_SUBSETS, key_of

NAMES = [f"subset-{number:02d}" for number in range(NUM_SUBSETS)]
TARGETS = ["subset-00", "subset-07"]
NUM_IMAGES = 2_000
EVALUATION = {"search": 100, "confirm": 50, "sealed": 50}
STUDY = {
    "name": "at-scale",
    "catalog": "catalog.yaml",
    "targets": TARGETS,
    "space": {
        "composition": {
            "sources": [name for name in NAMES if name not in TARGETS],
            "num_samples": [4_000, 8_000], "budget": 16_000, "max_size": 2,
        },
    },
    "recipe": {"num_steps": 2, "batch_size": 8},
    "strategy": {"name": "random", "num_trials": 2},
    "transfer": {"enabled": False},
    "confirm": {"enabled": False},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScaleRun:
    """What a run said and took.

    Attributes:
        start_s: from the call to the first trial on its way.
        grown_gib: by how much the most memory of this process, the driver, grew meanwhile.
    """

    said: Sequence[str]
    trials: Sequence[Mapping[str, Any]]
    start_s: float
    grown_gib: float


def run_at_scale(folder: Path, *, num_rows: int) -> ScaleRun:
    """Write the store and run the study over it; Ray must be connected.

    Args:
        folder: gets data, study and run: 0.4 GiB and 82 B a row.
        num_rows: of each of the 53 subsets.
    """
    subsets = [
        {"name": name, **key_of(i).model_dump(include={"modality", "area", "task"}), "format": "med_mat", "pool": ["-"]}
        for i, name in enumerate(NAMES)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"name": "at-scale", "subsets": subsets}), encoding="utf-8")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    study = load_study(folder / "study.yaml", [])
    rows = {name: {"train": num_rows - sum(EVALUATION.values()), **EVALUATION} for name in NAMES}
    keys = {name: study.catalog.subset(name).key for name in NAMES}
    store = packed_store(on_disk(study.store_dir), rows, [_picture(number) for number in range(NUM_IMAGES)], keys=keys)
    assert sum(pack.num_bytes for pack in store.manifest.packs or ()) > NUM_IMAGES * 150_000
    # Preparing a million rows has its own tests and figures.
    made = SimpleNamespace(manifest=store.manifest, was_current=True)
    said: list[str] = []
    running_at: list[float] = []
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with patch.object(prepare_store, "prepare_store", lambda *arguments, **options: made):
        run_study(
            study,
            RunDir(folder / "run"),
            say=said.append,
            on_record=lambda record: None,
            on_running=lambda num_running: running_at.append(time.monotonic()) if num_running else None,
        )
    return ScaleRun(
        said=said,
        trials=RunDir(folder / "run").read_trials(),
        start_s=running_at[0] - began,
        grown_gib=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20,
    )


def _picture(number: int) -> bytes:
    """A JPEG of about 200 KB, unlike every other."""
    pixels = np.random.default_rng(number).integers(0, 256, (440, 440), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
