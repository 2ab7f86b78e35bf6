"""A subset whose training rows have more than 2 GiB of images: prepared, exported and trained on."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.store.export import export_rows
from datasets_spec.store.store import open_store
from tests.makers.corpus import mat_pool, mat_record, subset_lines, write_catalog, write_json
from tests.studies.tiny_study import environment

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).resolve().parents[2]
GIB = 1 << 30
# Images of 1.3 MB, each asked about so often that the rows' images are 2.5 GiB and what is stored of them a twentieth.
NUM_IMAGES, NUM_QUESTIONS = 110, 24
STUDY = {
    "name": "large",
    "catalog": "catalog.yaml",
    "targets": ["target"],
    "control_sources": ["plain"],
    "space": {"composition": {"sources": ["large", "other"], "num_samples": [8, 16], "budget": 24}},
    "recipe": {"num_steps": 2, "batch_size": 4},
    "strategy": {"name": "random", "num_trials": 2},
    "transfer": {"enabled": False},
    "confirm": {"num_finalists": 1, "seeds": [101], "comparators": ["control"]},
    "execution": {"num_workers": 0, "max_concurrent": 1},
}


def noise(number: int) -> bytes:
    """A picture that cannot be made smaller, unlike every other."""
    pixels = np.random.default_rng(number).integers(0, 256, (1200, 1200), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    (root / "images" / "large").mkdir(parents=True)
    records: list[dict[str, Any]] = []
    for number in range(NUM_IMAGES):
        (root / f"images/large/{number}.jpg").write_bytes(noise(number))
        for question in range(NUM_QUESTIONS):
            record = mat_record(len(records), f"large/{number}.jpg", question % 3)
            asked = record["Question-choice"].replace("Which shape", f"Of {question} shapes, which")
            records.append(record | {"Question-choice": asked})
    write_json(root / "large.json", records)
    subsets = [subset_lines("large", pool=["large.json"], shares={"train": 0.97, "search": 0.01, "confirm": 0.01,
                                                                  "sealed": 0.01})]  # fmt: skip
    for number, name in enumerate(("other", "plain", "target")):
        write_json(root / f"{name}.json", mat_pool(root, name, 90, first=1000 * number))
        subsets.append(subset_lines(name, pool=[f"{name}.json"]))
    write_catalog(root, subsets)
    (root / "study.yaml").write_text(yaml.safe_dump(STUDY | {"store": "store"}), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    command = [sys.executable, "-m", "search.cli", "run", folder / "study.yaml", "--run-dir", folder / "run"]
    done = subprocess.run(
        [*map(str, command)],
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_is_trained_on(folder: Path, told: str) -> None:
    trials = pd.read_parquet(folder / "run" / "report" / "trials.parquet")
    assert (trials["status"] == "finished").all()
    assert trials["composition"].str.contains("large").any()
    assert told.rstrip().endswith(str(folder / "run" / "report" / "index.html"))


def test_its_images_are_read_as_they_were_written_and_stored_once(folder: Path, told: str) -> None:
    store = open_store(folder / "store")
    num_bytes = num_rows = 0
    for table in store.read_groups("large", "train", columns=["images"]):
        num_rows += table.num_rows
        num_bytes += sum(len(data) for row in table.column("images").to_pylist() for data in row)
    assert num_rows == store.count("large", "train")
    assert num_bytes > 2.5 * GIB
    stored = sum(pack.num_bytes for pack in store.manifest.packs or ())
    assert stored < num_bytes / (NUM_QUESTIONS - 4)
    table = store.read("large", "train")
    assert table.column("images").nbytes > 2.5 * GIB
    assert table.column("images").num_chunks > 1


def test_it_is_exported_whole(folder: Path, told: str, tmp_path: Path) -> None:
    store, catalog = open_store(folder / "store"), load_catalog(folder / "catalog.yaml")
    num_rows = store.count("large", "train")
    assert export_rows(store, catalog, {"large": num_rows}, tmp_path / "hf", "hf") == num_rows
    parts = sorted((tmp_path / "hf" / "data").iterdir())
    assert sum(pq.read_metadata(part).num_rows for part in parts) == num_rows
    batches = (batch for part in parts for batch in pq.ParquetFile(part).iter_batches(64, columns=["images"]))
    images = (batch.column("images").flatten().field("bytes") for batch in batches)
    assert sum(pc.sum(pc.binary_length(data)).as_py() for data in images) > 2.5 * GIB
    assert export_rows(store, catalog, {"large": num_rows}, tmp_path / "llava", "llava") == num_rows
    assert len(list((tmp_path / "llava" / "images").iterdir())) <= NUM_IMAGES
