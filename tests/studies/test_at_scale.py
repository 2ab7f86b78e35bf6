"""A study over 53 subsets of 20,000 rows that show 2,000 images of 200 KB: two trials on two cores, without a wall."""

from __future__ import annotations

import resource
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from datasets_spec.prepare import prepare_store
from search.phases.run_study import run_study
from search.study.load_study import load_study
from search.study.run_dir import RunDir
from tests.makers.on_disk import on_disk
from tests.makers.packed_store import packed_store
from tests.makers.scale_study import NUM_SUBSETS, key_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.usefixtures("local_ray")]
NAMES = [f"subset-{number:02d}" for number in range(NUM_SUBSETS)]
TARGETS = ["subset-00", "subset-07"]
NUM_IMAGES = 2_000
MOST_DRIVER_GIB = 2.0
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


def picture(number: int) -> bytes:
    """A JPEG of about 200 KB, unlike every other."""
    pixels = np.random.default_rng(number).integers(0, 256, (440, 440), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_two_trials_over_a_million_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subsets = [
        {"name": name, **key_of(i).model_dump(include={"modality", "area", "task"}), "format": "med_mat", "pool": ["-"]}
        for i, name in enumerate(NAMES)
    ]
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"name": "at-scale", "subsets": subsets}), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    study = load_study(tmp_path / "study.yaml", [])
    rows = {name: {"train": 19_800, "search": 100, "confirm": 50, "sealed": 50} for name in NAMES}
    keys = {name: study.catalog.subset(name).key for name in NAMES}
    store = packed_store(on_disk(study.store_dir), rows, [picture(number) for number in range(NUM_IMAGES)], keys=keys)
    assert sum(pack.num_bytes for pack in store.manifest.packs or ()) > NUM_IMAGES * 150_000
    # Preparing a million rows has its own tests and figures.
    made = SimpleNamespace(manifest=store.manifest, was_current=True)
    monkeypatch.setattr(prepare_store, "prepare_store", lambda *arguments, **options: made)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said: list[str] = []
    run_study(study, RunDir(tmp_path / "run"), say=said.append, on_record=lambda record: None)
    grown_gib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    trials = RunDir(tmp_path / "run").read_trials()
    print("\n".join(said), f"driver grew by {grown_gib:.2f} GiB")  # noqa: T201 - the slow tier is read
    assert [trial["status"] for trial in trials] == ["finished"] * 3  # with the backbone untrained
    assert any(line.startswith("vision features: by every trial") for line in said)  # they would not have fitted
    assert grown_gib < MOST_DRIVER_GIB
